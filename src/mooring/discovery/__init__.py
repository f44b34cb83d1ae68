"""What can run."""
