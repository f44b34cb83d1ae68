"""The keeper: one small process, the parent of one charge."""
