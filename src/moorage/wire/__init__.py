"""What is said: messages, frames, signatures, connection records. No I/O, no clock."""
