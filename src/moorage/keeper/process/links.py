"""A keeper's end of one link.

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.wire import link
else:
    from wire import link

assert sys.platform != "win32", "keepers need Unix sockets and fork"

MOST_WAITING = 1 << 18
"""Bytes that may wait for an end that does not read."""
_PIECE = 1 << 16


class LinkEnd:
    """One link: a stream in two directions, neither of which is ever waited for.

    Attributes:
        queue: what is to be sent.
        attached: whether it counts as attached.
        watching: whether it is told of every change.
        closed: whether nothing will be read from it any more.
        give_up_at: when it is closed though not all was sent; None while that is not decided.

    Args:
        reader: descriptor to read from; not blocking.
        writer: descriptor to write to, which may be the same.
        most: bytes that the first message may have.
    """

    def __init__(self, reader: int, writer: int, most: int = link.MOST) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = link.LinkDecoder(most)
        self.queue = link.SendQueue(MOST_WAITING)
        self.attached = False
        self.watching = False
        self.closed = False
        self.give_up_at: float | None = None

    def receive(self) -> list[dict[str, Any]]:
        """Return the messages that have come; a link that says what is none is closed with a word."""
        try:
            data = os.read(self.reader, _PIECE)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return []
        try:
            frames = self._decoder.feed(data)
            if frames:
                self._decoder.most = link.MOST  # only the first message may be longer
            return [each.message() for each in frames if each.kind == link.JSON]
        except link.LinkError as error:
            self.queue.close(str(error))
            return []

    def tell(self, message: Mapping[str, object]) -> None:
        """Send a message, now or as soon as the other end reads."""
        self.queue.put(message)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the other end takes it."""
        while data := self.queue.next():
            try:
                self.queue.sent(os.write(self.writer, data))
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                return

    @property
    def over(self) -> bool:
        """Whether nothing is left to do with it."""
        return self.closed or (self.queue.closing and not self.queue.next())

    def close(self) -> None:
        """Close its descriptors."""
        for fd in {self.reader, self.writer}:
            os.close(fd)
