"""Questions for every chunk: what writes them, how answers are read, what they cost."""
