"""One kernel, alive."""
