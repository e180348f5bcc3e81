"""Question-chunk pairs: where they are kept, how good they are, how they come and go."""
