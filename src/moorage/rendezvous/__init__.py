"""How launcher and kernel agree on addresses that nobody lets go of."""
