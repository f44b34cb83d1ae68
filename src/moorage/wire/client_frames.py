"""The frames of a websocket's client, with what is in them (RFC 6455, 5.2)."""

from __future__ import annotations

from collections.abc import Iterator

TEXT, CLOSE, PING = 1, 8, 9
CONTROL = 8
"""Opcodes from here on are control frames."""
MOST = 1 << 16
"""Bytes of a frame that is looked into; of a longer one only the opcode is told, and no content."""


class ClientFrames:
    """Reads frames one after the other; it begins where a frame does."""

    __slots__ = ("_buffer", "_left", "_lost")

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0  # bytes of a long frame that are still to come
        self._lost = False

    @property
    def between(self) -> bool:
        """Whether all frames that have begun have ended."""
        return not (self._buffer or self._left or self._lost)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the opcode and the content of each frame that is whole, and of a long one as it begins.

        After a frame that is not masked everything counts as text: a server closes such a connection.

        Args:
            data: what has arrived, in order.
        """
        self._buffer += data
        while self._buffer:
            if self._lost:
                self._buffer = b""
                yield TEXT, b""
                return
            taken = min(self._left, len(self._buffer))
            self._left -= taken
            self._buffer = self._buffer[taken:]
            found = self._next() if not self._left else None
            if found is None:
                return
            yield found

    def _next(self) -> tuple[int, bytes] | None:
        """Take the frame that the buffer begins with; None where it is not there yet."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        opcode, length, size = buffer[0] & 15, buffer[1] - 0x80, 2
        if length < 0:
            self._lost, self._buffer = True, b""
            return TEXT, b""
        if length >= 126:
            size = 4 if length == 126 else 10
            length = int.from_bytes(buffer[2:size], "big")
        if len(buffer) < size + 4:
            return None
        if length > MOST:
            self._left = length + 4
            self._buffer = buffer[size:]
            return opcode, b""
        end = size + 4 + length
        if len(buffer) < end:
            return None
        self._buffer = buffer[end:]
        return opcode, unmasked(buffer[size : size + 4], buffer[size + 4 : end])


def unmasked(mask: bytes, content: bytes) -> bytes:
    """Return what a client has masked; the same mask masks it."""
    length = len(content)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(content, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
