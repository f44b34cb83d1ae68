"""WHERE a kernel runs."""
