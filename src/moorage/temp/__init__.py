"""Temporary servers: one for each visitor, behind the proxy, with a front page."""
