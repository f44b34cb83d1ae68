"""What a run will do: its documents, settings, targets and dependencies."""
