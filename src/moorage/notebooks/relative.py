"""Where many paths lie and lead, at a tenth of what asking for each by itself takes."""

from __future__ import annotations

import os
from pathlib import Path


def text_below(folder: str | Path, path: str | Path) -> str | None:
    """Return the rest of a path after a folder, by its text; None where it is not below or has ``..`` in it.

    Args:
        folder: as it is; links are not followed.
        path: the same.
    """
    text, head = os.fspath(path), os.path.join(folder, "")  # noqa: PTH118 - pathlib takes 10 times as long
    if not text.startswith(head) or (os.pardir in text and os.pardir in Path(text).parts):
        return None
    return text[len(head) :]


def named_from(home: Path, path: Path) -> str:
    """Return the name of a file in what is kept or configured: relative to a folder, with forward slashes."""
    name = text_below(home, path)
    return (os.path.relpath(path, home) if name is None else name).replace(os.sep, "/")


def below(folder: Path, name: str) -> Path:
    """Return the path of an artefact called ``name`` for a notebook in ``folder``; it may hold ``..``."""
    return Path(os.path.normpath(folder / name))


class RealPaths:
    """Follows links as ``os.path.realpath`` does, each folder's once.

    For one look at many paths: what is asked later may get an old answer.
    """

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: str | Path) -> str:
        """Return the path without links; what is not there leads where it says."""
        folder, name = os.path.split(path)
        if name in ("", os.curdir, os.pardir):
            return os.path.realpath(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        whole = os.path.join(self._folders[folder], name)  # noqa: PTH118 - realpath gives text
        return os.path.realpath(whole) if os.path.islink(whole) else whole  # noqa: PTH114 - as above
