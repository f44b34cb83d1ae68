"""Notebooks, many at once."""
