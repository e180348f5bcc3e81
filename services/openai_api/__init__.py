"""Access to OpenAI, and to any server with its API."""
