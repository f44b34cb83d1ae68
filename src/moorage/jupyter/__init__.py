"""Plugs into today's Jupyter: what its tools load by an entry point or a configuration line."""
