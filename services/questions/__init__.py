"""What people ask, and which chunks answer it."""
