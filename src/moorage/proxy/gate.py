"""Whether a connection is read: as long as there is no reason not to."""

from __future__ import annotations

import asyncio

UPSTREAM_FULL, CONNECTING, PIPELINED = 1, 2, 4
"""Reasons: the server does not take what was sent; it is not reached yet; the next request came too early."""


class ReadGate:
    """Pauses and resumes reading of one transport, for several reasons at once."""

    __slots__ = ("_reasons", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._reasons = 0

    def hold(self, reason: int) -> None:
        """Stop reading."""
        if not self._reasons and not self._transport.is_closing():
            self._transport.pause_reading()
        self._reasons |= reason

    def go_on(self, reason: int) -> None:
        """Read again, unless there is another reason not to."""
        if self._reasons:
            self._reasons &= ~reason
            if not self._reasons and not self._transport.is_closing():
                self._transport.resume_reading()
