"""What was rendered before: found again by what was run and with what, and checked."""
