"""The knowledge base: files in, text out, chunks stored; and a sample of it."""
