"""Bytes from visitors to servers: the proxy, alone (`moorage proxy`) or inside a program."""
