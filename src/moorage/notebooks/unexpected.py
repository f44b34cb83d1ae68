"""An unexpected exception, as a sentence: a stack trace of moorage is of no use to a user."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from moorage.errors import MoorageError


def unexpected(error: Exception) -> MoorageError:
    """Return an error that says what came up and where.

    Args:
        error: any exception; one of moorage's own comes back as it is.
    """
    if isinstance(error, MoorageError):
        return error
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    if isinstance(error, ImportError) and os.strerror(errno.EMFILE) in str(error):
        why = "Too many files are open, and a module could not be loaded"
        return MoorageError("The system did not let moorage go on", why=why, do="Raise `ulimit -n`")
    if isinstance(error, OSError) and error.strerror:
        name = f": {error.filename}" if error.filename else ""
        return MoorageError("The system did not let moorage go on", why=f"{error.strerror}{name}{where}")
    return MoorageError(
        "Moorage failed where it should not",
        why=f"{type(error).__name__}: {error}{where}",
        do="Please report this with the command you typed",
    )
