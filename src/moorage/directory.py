"""The working directory, which a process may outlive."""

from __future__ import annotations

from pathlib import Path

from moorage.errors import UsageError


def working_directory() -> Path:
    """Return the absolute path of the working directory.

    Raises:
        UsageError: it has been deleted, or may not be looked at.
    """
    try:
        return Path.cwd()
    except OSError as error:
        why = "It has been deleted" if isinstance(error, FileNotFoundError) else str(error.strerror)
        do = "Change into a folder that is there"
        raise UsageError("the working directory cannot be used", why=why, do=do) from error
