"""Walls around a visitor's server: what it sees, what it may, how much it takes."""
