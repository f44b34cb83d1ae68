"""What people look at: progress, failures, results, the report."""
