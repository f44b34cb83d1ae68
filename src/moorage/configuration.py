"""Where the configuration stands: the nearest ``moorage.toml``, or ``[tool.moorage]`` in pyproject.toml.

What a table means is known in the room that uses it.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from moorage.errors import ConfigurationError
from moorage.regular import read_regular
from moorage.trust import counts

REPOSITORY = (".git", ".hg", ".jj")
"""What the root of a repository holds."""

_TOOL = re.compile(rb"^[ \t]*\[{1,2}[ \t]*tool[ \t]*\.[ \t]*[\"']?([A-Za-z0-9_-]+)", re.MULTILINE)
_LARGEST = 4 << 20  # bytes; a hundred times the largest pyproject.toml seen


def nearest_table(start: Path) -> tuple[Path, Any] | None:
    """Return the file that counts in a folder and moorage's table of it; None where there is none.

    What another user may have written does not count, see :mod:`moorage.trust`.

    Args:
        start: absolute path of the folder; after it the folders above are searched, up to the root of its
            project. Of two files in one folder, ``moorage.toml`` counts.

    Raises:
        ConfigurationError: a file cannot be read, is no TOML, or may not be believed.
    """
    for folder in searched(start):
        for name in ("moorage.toml", "pyproject.toml"):
            table = read_table(folder / name)
            if table is not None:
                return folder / name, table
    return None


def searched(start: Path) -> list[Path]:
    """Return a folder and those above it up to the root of its project, at most to the home.

    The root is the next folder that holds a repository; without one, the next that holds a pyproject.toml.

    Args:
        start: absolute path.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises where there is none
    folders: list[Path] = []
    project = 0
    for folder in (start, *start.parents):
        folders.append(folder)
        if any(os.path.lexists(folder / marker) for marker in REPOSITORY):
            return folders
        if not project and os.path.lexists(folder / "pyproject.toml"):
            project = len(folders)
        if folder == home:
            break
    return folders[:project] if project else folders


def read_table(path: Path) -> Any:
    """Return moorage's table of one file, None where there is none or it does not count.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or may not be believed.
    """
    own = path.name == "moorage.toml"
    try:
        content = read_regular(path, _LARGEST)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        # Whether it is there cannot even be seen, or it is nothing that another user may refuse us.
        if not own or not os.access(path.parent, os.X_OK) or not _counts(path):
            return None
        raise ConfigurationError(f"{path} cannot be read", why=str(error.strerror)) from error
    if own:
        return _parsed(path, content) if _counts(path) else None
    if (near := _near(content)) and _counts(path):
        raise ConfigurationError(f"{path} has a table [tool.{near}]", do="Did you mean [tool.moorage]?")
    if b"moorage" not in content:
        return None
    try:
        table = _parsed(path, content).get("tool", {}).get("moorage")
    except (ConfigurationError, AttributeError):
        if b"tool.moorage" in content and _counts(path):
            raise
        return None
    return table if table is not None and _counts(path) else None


def _near(content: bytes) -> str:
    """Return the name of a tool's table that is nearly moorage's, else an empty string."""
    for found in _TOOL.finditer(content):
        name = found[1].decode()
        if name != "moorage" and name[0] in "Mm" and abs(len(name) - 7) <= 1:
            import difflib  # noqa: PLC0415 - most projects need none

            if difflib.get_close_matches(name.lower(), ["moorage"], cutoff=0.85):
                return name
    return ""


def _parsed(path: Path, content: bytes) -> Any:
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no valid TOML", why=str(error)) from None


def _counts(path: Path) -> bool:
    try:
        return counts(path)
    except OSError:  # it has gone meanwhile
        return False
