"""The way to OpenAI, and to every server that speaks like it."""
