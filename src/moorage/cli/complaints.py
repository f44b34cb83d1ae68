"""What a command says when it cannot go on, and the exit code that goes with it."""

from __future__ import annotations

import os
import sys

from moorage.errors import MissingExtra, UsageError

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def complain(error: Exception) -> int:
    """Print an error as one sentence on stderr, each of a group by itself.

    Args:
        error: what ended a command, or one of its last steps.

    Returns:
        The exit code for it.
    """
    from moorage.cli.stdio import raw
    from moorage.notebooks.show import ansi
    from moorage.notebooks.show.sink import Sink
    from moorage.notebooks.unexpected import unexpected

    if isinstance(error, ExceptionGroup):
        return min(complain(each) for each in error.exceptions)
    # A pipe that is full is waited for so that Ctrl-C ends it, and leaves no text that Python waits to write.
    text = ansi.shown(f"error: {unexpected(error)}", runner=ansi.on_runner(os.environ))
    sink = Sink(raw(sys.stderr))
    sink.write(text + "\n")
    sink.drain()
    return USAGE if isinstance(error, UsageError | MissingExtra) else FAILED
