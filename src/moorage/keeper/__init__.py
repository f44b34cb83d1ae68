"""What outlives its launcher: a keeper and its one charge."""
