"""Ranking chunks for a question by many signals, without training or with trained weights."""
