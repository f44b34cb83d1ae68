"""Where presenters write: a stream that takes any text and never ends or holds up a run."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final

from moorage.notebooks.show import ansi
from moorage.notebooks.show.backlog import Backlog

if TYPE_CHECKING:
    from moorage.notebooks.show.failed_notebook import Symbols

LAST_WORDS: Final = 2.0
"""Seconds that a run which was interrupted waits for a reader that takes nothing."""
_UTF8: Final = frozenset({"utf-8", "utf8", "utf_8"})
_PIECE: Final = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe which is ready takes without blocking."""


class Sink:
    """A text stream made safe to report on.

    What its encoding cannot show is written as an escape. What its reader does not take yet waits, so that
    the run goes on beside a pipe that is full; :meth:`drain` waits for it. When its reader is gone
    (``moorage render | head``), its disk is full, or more waits than a :class:`Backlog` holds, it falls
    silent, because a run must not end for want of an audience; ``lost`` then holds the error, and the
    stream's descriptor leads nowhere.

    Args:
        stream: an open text stream; it is not closed.
        runner: whether the runner of a CI system reads it and takes lines for commands.

    Attributes:
        hurried: whether a reader that takes nothing is waited for only ``LAST_WORDS`` seconds.
    """

    def __init__(self, stream: IO[str], *, runner: bool = False) -> None:
        self._stream = stream
        self._runner = runner
        self._waiting = Backlog()
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"
        self.lost: OSError | None = None
        self.hurried = False

    @property
    def symbols(self) -> Symbols:
        """The marks this stream can show."""
        from moorage.notebooks.show.failed_notebook import ASCII, Symbols  # `moorage run` needs none

        return Symbols() if self.encoding.lower() in _UTF8 else ASCII

    @property
    def behind(self) -> bool:
        """Whether the reader has still to take what was written."""
        return bool(self._waiting)

    def isatty(self) -> bool:
        """Say whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor; raises ``OSError`` where it has none."""
        return self._stream.fileno()

    def write(self, text: str | bytes) -> int:
        """Write ``text`` as it is and return its length: for what draws, and strips what is foreign.

        Bytes are a document of the user's, and go out whatever the stream's encoding.
        """
        if self.lost is None:
            encoded = text if isinstance(text, bytes) else text.encode(self.encoding, "backslashreplace")
            try:
                self._waiting.append(encoded)
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Hand to the system what it takes without blocking."""
        self._pump(0.0)

    def drain(self, *, hurried: bool = False) -> None:
        """Hand everything to the system, and wait for a slow reader.

        Args:
            hurried: as the attribute.
        """
        self._pump(LAST_WORDS if hurried or self.hurried else None)

    def line(self, text: str = "") -> None:
        """Write one line, or several, as :func:`moorage.notebooks.show.ansi.shown` has them, and flush.

        A log must show what happened when the process is killed.
        """
        self.write(ansi.shown(text, colour=True, runner=self._runner) + "\n")
        self.flush()

    def command(self, text: str) -> None:
        """Write a line that a runner shall act on; what is foreign in it is escaped already."""
        self.write(ansi.one_line(text) + "\n")
        self.flush()

    def _pump(self, patience: float | None) -> None:
        try:
            descriptor = self._descriptor()
            while self._waiting and self.lost is None:
                if descriptor is None:
                    data = self._waiting.first(len(self._waiting))
                    self._waiting.take(len(data))
                    self._stream.write(data.decode(self.encoding, "backslashreplace"))
                elif select.select([], [descriptor], [], patience)[1]:
                    with suppress(BlockingIOError):
                        self._waiting.take(os.write(descriptor, self._waiting.first(_PIECE)))
                else:
                    return
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _descriptor(self) -> int | None:
        """Return what to wait for; None without a descriptor, or where only sockets can be waited for."""
        if sys.platform == "win32":
            return None
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError, AttributeError):
            return None
        self._stream.flush()  # what others have printed comes before
        return descriptor

    def _lose(self, error: OSError) -> None:
        self.lost = error
        self._waiting.clear()
        # What is still buffered would raise again when the interpreter exits:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
