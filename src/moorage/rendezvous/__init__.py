"""How launcher and kernel agree on addresses, without letting go of any."""
