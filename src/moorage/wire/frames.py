"""Which websocket frames a client sends, told from their headers alone (RFC 6455, 5.2)."""

from __future__ import annotations

_CONTROL = 8
"""Opcodes from here on are control frames: close, ping, pong."""


class FrameScanner:
    """Follows the frames of a client without reading what is in them.

    A frame that is not masked ends the following, and everything after it counts as data: a server closes
    such a connection, and no more need be told about it.
    """

    __slots__ = ("_data_frame", "_header", "_left", "_lost")

    def __init__(self) -> None:
        self._header = b""  # a part of a header
        self._left = 0  # bytes of the frame that are still to come
        self._data_frame = False
        self._lost = False

    @property
    def between(self) -> bool:
        """Whether all frames that have begun have ended."""
        return not (self._left or self._header or self._lost)

    def feed(self, data: bytes) -> bool:
        """Tell whether any byte of ``data`` belongs to a text, binary or continuation frame.

        Args:
            data: what has arrived, in order.
        """
        if not self._left and not self._header and len(data) > 1:
            second = data[1]
            # Most often one short frame arrives, whole: 2 bytes of header, 4 of mask, and less than 126.
            if 0x80 <= second < 0xFE and len(data) == second - 0x7A:
                return self._lost or data[0] & 15 < _CONTROL
        return self._lost or self._follow(data)

    def _follow(self, data: bytes) -> bool:
        found, at = False, 0
        if self._header:
            data = self._header + data
            self._header = b""
        end = len(data)
        while at < end:
            if self._left:
                taken = min(self._left, end - at)
                self._left -= taken
                at += taken
                found = found or self._data_frame
                continue
            size = self._begin_frame(data, at, end)
            if self._lost:
                return True
            if not size:
                self._header = data[at:]
                break
            at += size
            found = found or self._data_frame
        return found

    def _begin_frame(self, data: bytes, at: int, end: int) -> int:
        """Read the header at a place; return its size without the mask, 0 when it has not arrived whole."""
        if end - at < 2:
            return 0
        second = data[at + 1]
        if second < 0x80:
            self._lost = True
            return 0
        length, size = second - 0x80, 2
        if length >= 126:
            size = 4 if length == 126 else 10
            if end - at < size:
                return 0
            length = int.from_bytes(data[at + 2 : at + size], "big")
        self._left = length + 4
        self._data_frame = data[at] & 15 < _CONTROL
        return size
