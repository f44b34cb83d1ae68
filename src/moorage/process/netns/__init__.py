"""Processes in a network namespace of their own."""
