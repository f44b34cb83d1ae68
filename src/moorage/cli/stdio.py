"""Standard output and error of the command: what is printed there is text, whatever stands in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TextIO, TypeVar, cast

from moorage.notebooks.show import ansi

Stream = TypeVar("Stream", bound=IO[str])


class Guarded:
    """A text stream that lets nothing through what a terminal or a runner would act on.

    It stands in the place of ``sys.stdout`` and ``sys.stderr``, so that what is printed, logged or warned of
    anywhere passes :func:`moorage.notebooks.show.ansi.shown`.

    Args:
        unguarded: an open text stream; it is not closed.
        environ: whether a runner reads it, and whether it may have colours.
    """

    def __init__(self, unguarded: TextIO, environ: Mapping[str, str]) -> None:
        self.unguarded = unguarded
        self._runner = ansi.on_runner(environ)
        self._colour = unguarded.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    def write(self, text: str) -> int:
        """Write ``text`` and return its length; what the encoding cannot show is written as an escape."""
        safe = ansi.shown(text, colour=self._colour, runner=self._runner)
        encoding = self.unguarded.encoding or "utf-8"
        self.unguarded.write(safe.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


class Lines:
    """Lines printed from within a loop, which a pipe that is full must not hold up, nor its Ctrl-C.

    What the reader does not take yet waits until :meth:`drain`.

    Args:
        stream: an open text stream; it is not closed.
        environ: whether a runner reads it.
    """

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        from moorage.notebooks.show.sink import Sink

        self._sink = Sink(raw(stream), runner=ansi.on_runner(environ))

    def print(self, text: str) -> None:
        """Print ``text`` as lines; foreign text in it must be plain, colours pass.

        Raises:
            OSError: the reader has gone, or the disk is full.
        """
        self._sink.line(text)
        self._check()

    def drain(self) -> None:
        """Wait until all has been taken; Ctrl-C ends that.

        Raises:
            OSError: as :meth:`print`.
        """
        self._sink.drain()
        self._check()

    def _check(self) -> None:
        if self._sink.lost is not None:
            raise self._sink.lost


@contextmanager
def guarded() -> Iterator[None]:
    """Guard both standard streams within the block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", Guarded(stream, os.environ)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def raw(stream: Stream) -> Stream:
    """Return the stream behind a guarded one, for what is guarded otherwise or the user's own."""
    behind: Stream = getattr(stream, "unguarded", stream)
    return behind


def json_text(document: object) -> str:
    """Return a document of ``--json``; its texts hold nothing that a terminal or a runner would act on."""
    import json

    # Outside of strings JSON has no number sign, and within it may be escaped.
    return json.dumps(document, indent=1).replace("\x7f", "\\u007f").replace("##", "#\\u0023")
