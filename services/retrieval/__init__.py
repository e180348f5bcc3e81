"""Chunks, embeddings, the vector store and search."""
