"""Frames of a keeper's link: one byte stream between a keeper and what is attached to it. No I/O.

A frame is a header of eight bytes and a body::

    0  2  the letters "mk"
    2  1  version of the protocol, 1
    3  1  kind of the body: 1 is an object of JSON in UTF-8, any other is skipped
    4  4  length of the body in bytes, big-endian

What the objects say stands in docs/reference/link.md. Both ends use this file. A keeper runs where moorage is
not installed: standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MAGIC = b"mk"
VERSION = 1
JSON = 1
HEADER = 8
MOST = 1 << 16
"""Bytes that a body may have, if not said otherwise."""
MOST_START = 1 << 24
"""Bytes that the body of ``start`` may have: an environment is as long as the system allows."""


class LinkError(ValueError):
    """What arrived is no frame of a link; nothing after it can be read."""


class LinkFrame:
    """One frame.

    Attributes:
        kind: of the body.
        body: its bytes.
    """

    __slots__ = ("body", "kind")

    def __init__(self, kind: int, body: bytes) -> None:
        self.kind = kind
        self.body = body

    def message(self) -> dict[str, Any]:
        """Return the object that the body holds.

        Raises:
            LinkError: it holds none.
        """
        try:
            message = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise LinkError(f"a body is no JSON: {error}") from None
        if not isinstance(message, dict):
            raise LinkError("a body is JSON, but no object")
        return message


def encode(message: Mapping[str, object]) -> bytes:
    """Return the frame of one object.

    Strings may hold what is no text (``surrogateescape``): JSON's escapes carry it.
    """
    return frame(JSON, json.dumps(message, separators=(",", ":")).encode())


def frame(kind: int, body: bytes) -> bytes:
    """Return a frame with any body."""
    return MAGIC + bytes((VERSION, kind)) + len(body).to_bytes(4, "big") + body


class LinkDecoder:
    """Cuts the stream into frames.

    Args:
        most: bytes that a body may have; this may be changed between frames.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._held = bytearray()

    def feed(self, data: bytes) -> list[LinkFrame]:
        """Take bytes as they come; return the frames that they complete.

        Raises:
            LinkError: they are none. Frames that were complete before are lost, the link is of no more use.
        """
        self._held += data
        found = []
        at = 0
        while (body := self._body(at)) is not None:
            end = at + HEADER + body
            if end > len(self._held):
                break
            found.append(LinkFrame(self._held[at + 3], bytes(self._held[at + HEADER : end])))
            at = end
        del self._held[:at]
        return found

    def _body(self, at: int) -> int | None:
        """Return how long the body of the frame at ``at`` is; None while its header is not complete."""
        header = self._held[at : at + HEADER]
        if not MAGIC.startswith(header[:2]):
            raise LinkError("the other end speaks no keeper's link")
        if len(header) > 2 and header[2] != VERSION:
            raise LinkError(f"the other end speaks version {header[2]} of the link, not {VERSION}")
        if len(header) < HEADER:
            return None
        length = int.from_bytes(header[4:], "big")
        if length > self.most:
            raise LinkError(f"a body has {length} bytes, more than {self.most}")
        return length


class SendQueue:
    """What is to be sent on one link, bounded: an end that reads nothing costs no more than this.

    Args:
        most: bytes that may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[bytes] = []
        self._size = 0
        self._begun = False
        self.closing = False
        """Whether the link ends once what waits has been sent. What is put then is not sent."""

    def put(self, message: Mapping[str, object]) -> None:
        """Queue a frame. Where it does not fit, a word about that takes the place of all that waits."""
        if self.closing:
            return
        data = encode(message)
        if self._size + len(data) > self._most:
            lost = len(self._waiting) + 1 - self._begun
            self.close(f"too little was read: {lost} messages were dropped")
            return
        self._waiting.append(data)
        self._size += len(data)

    def close(self, why: str) -> None:
        """Drop what waits, but for the rest of a frame that has been begun, and end with a word."""
        if not self.closing:
            self.closing = True
            self._waiting = [*self._waiting[: int(self._begun)], encode({"tell": "dropped", "why": why})]
            self._size = sum(map(len, self._waiting))

    def next(self) -> bytes:
        """Return what to send next; empty when nothing waits."""
        return self._waiting[0] if self._waiting else b""

    def sent(self, count: int) -> None:
        """Take note that so many bytes of :meth:`next` were sent."""
        self._size -= count
        rest = self._waiting[0][count:]
        self._begun = bool(rest) and (self._begun or count > 0)
        if rest:
            self._waiting[0] = rest
        else:
            del self._waiting[0]
