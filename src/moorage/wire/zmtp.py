"""ZMTP 3.0, as much of it as a ROUTER needs that takes one message of each peer and may answer it.

libzmq's own sockets take messages of any number of frames, and keep an unfinished one in memory however
long it grows: any program of the machine could fill that of a launcher which listens for registrations (377
MB in 5 s, tried). Here a peer may send one message, whose size is bounded.

Source: RFC 23, https://rfc.zeromq.org/spec/23/
"""

from __future__ import annotations

from collections.abc import Sequence

from moorage.errors import ProtocolError

GREETING_BYTES = 64
MOST_BYTES = 32 * 1024
"""What a peer may send at most: greeting, its READY and one message."""

_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_MORE, _LONG, _COMMAND = 1, 2, 4
_NULL = b"NULL".ljust(20, b"\0")


def greeting() -> bytes:
    """Return what either side sends first: version 3.0, no encryption."""
    return (_SIGNATURE + b"\x03\x00" + _NULL).ljust(GREETING_BYTES, b"\0")


def ready(kind: bytes = b"ROUTER") -> bytes:
    """Return the command that follows: the kind of the socket."""
    body = b"\x05READY" + b"\x0bSocket-Type" + len(kind).to_bytes(4) + kind
    return bytes([_COMMAND, len(body)]) + body


def message(frames: Sequence[bytes]) -> bytes:
    """Return one message as it goes over the line."""
    parts = []
    for number, frame in enumerate(frames, 1):
        flags = _MORE if number < len(frames) else 0
        if len(frame) > 255:
            parts.append(bytes([flags | _LONG]) + len(frame).to_bytes(8))
        else:
            parts.append(bytes([flags, len(frame)]))
        parts.append(frame)
    return b"".join(parts)


_HELLO = greeting() + ready()


class FirstMessage:
    """What one peer sends, from its greeting to the end of its first message.

    Attributes:
        frames: those of the message, once they are all there.
    """

    def __init__(self) -> None:
        """Begin before either side has sent anything."""
        self.frames: tuple[bytes, ...] | None = None
        self._answered = False
        self._buffer = bytearray()
        self._taken = 0
        self._greeted = False
        self._ready = False
        self._parts: list[bytes] = []

    def reply_greeting(self) -> bytes:
        """Return this side's greeting, after which the peer may send its message."""
        self._answered = True
        return _HELLO

    def receive(self, data: bytes) -> tuple[bytes, ...] | None:
        """Take in bytes as they come, in pieces of any size; those after the first message are dropped.

        Args:
            data: what has arrived.

        Returns:
            The message, from the call that completes it.

        Raises:
            ProtocolError: this is no ZMTP 3, wants encryption, or is too much. Hang up.
        """
        if self.frames is not None:
            return None
        self._taken += len(data)
        self._buffer += data[: MOST_BYTES + 1]
        if not self._greeted:
            self._greet()
        while self._greeted and (frame := self._next()) is not None:
            if self._take(*frame):
                return self.frames
        if self._taken > MOST_BYTES:
            raise ProtocolError("A peer sends too much for a registration")
        return None

    def _greet(self) -> None:
        start = bytes(self._buffer[:GREETING_BYTES])
        # The eight bytes in the middle are padding, in which libzmq puts a length of older versions.
        if (
            start[:1] != b"\xff"[: len(start)]
            or start[9:10] not in (b"", b"\x7f")
            or start[10:11] not in (b"", b"\x03")
        ):
            raise ProtocolError("A peer does not speak ZMTP 3")
        if len(start) < GREETING_BYTES:
            return
        if start[12:32] != _NULL:
            raise ProtocolError("A peer wants encryption, which registrations have none of")
        del self._buffer[:GREETING_BYTES]
        self._greeted = True

    def _next(self) -> tuple[int, bytes] | None:
        """Cut the next frame off the buffer; None while it is not whole."""
        if len(self._buffer) < 2:
            return None
        flags = self._buffer[0]
        if flags & ~(_MORE | _LONG | _COMMAND):
            raise ProtocolError("A frame has flags that there are none of")
        head = 9 if flags & _LONG else 2
        if len(self._buffer) < head:
            return None
        size = int.from_bytes(self._buffer[1:head])
        if size > MOST_BYTES:
            raise ProtocolError("A frame is too large for a registration")
        if len(self._buffer) < head + size:
            return None
        body = bytes(self._buffer[head : head + size])
        del self._buffer[: head + size]
        return flags, body

    def _take(self, flags: int, body: bytes) -> bool:
        """Take one frame; True when it was the message's last."""
        if flags & _COMMAND:
            # What else there may be (PING, SUBSCRIBE) asks nothing of a peer that will hang up anyway.
            self._ready = self._ready or body.startswith(b"\x05READY")
            return False
        if not (self._ready and self._answered):
            raise ProtocolError("A message came before either side was READY")
        self._parts.append(body)
        if flags & _MORE:
            return False
        self.frames = tuple(self._parts)
        return True
