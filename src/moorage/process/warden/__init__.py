"""The parent of everything that one moorage process launches."""
