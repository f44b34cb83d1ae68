"""Documents: reading them, writing them, what their tags mean."""
