"""Where presenters write: a stream that takes any text and never ends a run."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO, Final

from moorage.render.show.failure import ASCII, Symbols

_UTF8: Final = frozenset({"utf-8", "utf8", "utf_8"})


class Sink:
    """A text stream made safe to report on.

    What its encoding cannot show is written as an escape. When its reader is gone (``moorage render | head``)
    or its disk is full it falls silent, because a run must not end for want of an audience; ``lost`` then
    holds the error, and the stream's descriptor leads nowhere.

    Args:
        stream: an open text stream; it is not closed.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"
        self.lost: OSError | None = None

    @property
    def symbols(self) -> Symbols:
        """The marks this stream can show."""
        return Symbols() if self.encoding.lower() in _UTF8 else ASCII

    def isatty(self) -> bool:
        """Say whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor; raises ``OSError`` where it has none."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write ``text`` and return its length."""
        safe = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        if self.lost is None:
            try:
                self._stream.write(safe)
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Hand what was written to the system."""
        if self.lost is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = error
        # What is still buffered would raise again when the interpreter exits:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def line(self, text: str = "") -> None:
        """Write one line, or several, and flush: a log must show what happened when the process is killed."""
        self.write(text + "\n")
        self.flush()
