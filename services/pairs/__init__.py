"""Question-chunk pairs: storage, quality, import and export."""
