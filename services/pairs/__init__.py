"""Question-chunk pairs: who writes them, where they are kept, how good they are."""
