"""Questions for every chunk: who writes them, how their answers are read, what they cost."""
