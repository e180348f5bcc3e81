"""Training runs: their states, their rows, the threads that work on them, their recovery."""
