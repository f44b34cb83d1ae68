"""The wire formats: messages, frames, signatures, connection records. No I/O, no clock."""
