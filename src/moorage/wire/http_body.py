"""Where a body ends: how many bytes of what has arrived belong to the message, which are passed on.

Nothing is decoded and nothing is kept but the rest of a line that has not arrived whole. RFC 9112, 6 and 7.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from moorage.wire.http import NO_LENGTH, RefusedHead, RequestHead, ResponseHead

MAX_LINE = 4096
MAX_TRAILERS = 16384
"""Bytes that a line of a chunk's size, and all trailers together, may have."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*+)?")
_TRAILER = re.compile(
    rb"(?!(?i:content-length|transfer-encoding|host|connection):)"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+"
)


class LengthBody:
    """A body of so many bytes."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        self.left = length

    @property
    def done(self) -> bool:
        """Whether all of it has been taken."""
        return self.left == 0

    def take(self, data: bytes, start: int = 0) -> int:
        """Return where in ``data`` the bytes end that belong to this body.

        Args:
            data: what has arrived.
            start: where the body, or what has arrived of it now, begins.
        """
        taken = min(self.left, len(data) - start)
        self.left -= taken
        return start + taken


class EndlessBody:
    """A body that lasts until the connection ends."""

    __slots__ = ()
    done = False

    def take(self, data: bytes, start: int = 0) -> int:  # noqa: ARG002 - as the others do
        """Return where in ``data`` the bytes end that belong to this body: at its end."""
        return len(data)


class ChunkedBody:
    """A body in chunks, of which only the sizes are read."""

    __slots__ = ("_line", "_skip", "_trailers", "done")

    def __init__(self) -> None:
        self._line = b""
        self._skip = 0  # bytes of the chunk, and of the line end behind it, that are still to come
        self._trailers = NO_LENGTH  # bytes of trailers so far; NO_LENGTH before the last chunk
        self.done = False

    def take(self, data: bytes, start: int = 0) -> int:
        """Return where in ``data`` the bytes end that belong to this body.

        Args:
            data: what has arrived.
            start: where the body, or what has arrived of it now, begins.

        Raises:
            RefusedHead: these are no chunks.
        """
        at, end = start, len(data)
        while at < end and not self.done:
            if self._skip > 2:
                taken = min(self._skip - 2, end - at)
                self._skip -= taken
                at += taken
            elif self._skip:
                if data[at] != b"\r\n"[2 - self._skip]:
                    raise RefusedHead("a chunk does not end with its size")
                self._skip -= 1
                at += 1
            else:
                at = self._take_line(data, at)
        return at

    def _take_line(self, data: bytes, at: int) -> int:
        newline = data.find(b"\n", at)
        upto = len(data) if newline < 0 else newline + 1
        self._line += data[at:upto]
        if len(self._line) > MAX_LINE:
            raise RefusedHead("a line of a chunked body is too long")
        if newline >= 0:
            line, self._line = self._line, b""
            if not line.endswith(b"\r\n"):
                raise RefusedHead("a line of a chunked body ends without CR")
            self._end_line(line[:-2])
        return upto

    def _end_line(self, line: bytes) -> None:
        if self._trailers != NO_LENGTH:
            self._trailers += len(line)
            if not line:
                self.done = True
            elif _TRAILER.fullmatch(line) is None or self._trailers > MAX_TRAILERS:
                raise RefusedHead("the trailers are too long, or no fields")
            return
        size = _SIZE.fullmatch(line)
        if size is None:
            raise RefusedHead("a chunk has no size")
        length = int(size[1], 16)
        if length:
            self._skip = length + 2
        else:
            self._trailers = 0


Body: TypeAlias = LengthBody | EndlessBody | ChunkedBody


def request_body(head: RequestHead) -> Body | None:
    """Return the body that follows the head of a request, None where none does."""
    fields = head.fields
    if fields.chunked:
        return ChunkedBody()
    return LengthBody(fields.length) if fields.length > 0 else None


def response_body(head: ResponseHead, method: bytes) -> Body | None:
    """Return the body that follows the head of a final response, None where none does.

    Args:
        head: of the response, with a status from 200 on.
        method: of the request that it answers.

    Raises:
        RefusedHead: HTTP/1.0 with chunks.
    """
    fields, status = head.fields, head.status
    if method == b"HEAD" or status in {204, 304}:
        return None
    if fields.chunked:
        if head.minor == 0:
            raise RefusedHead("HTTP/1.0 has no Transfer-Encoding", 502)
        return ChunkedBody()
    if fields.length == NO_LENGTH:
        return EndlessBody()
    return LengthBody(fields.length) if fields.length else None
