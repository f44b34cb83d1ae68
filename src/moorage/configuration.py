"""Where the configuration stands: the nearest ``moorage.toml``, or ``[tool.moorage]`` in pyproject.toml.

What the tables mean is known to those who use them.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from moorage.errors import ConfigurationError


def nearest_table(start: Path) -> tuple[Path, Any] | None:
    """Return the file that counts in a folder and moorage's table of it; None where there is none.

    Args:
        start: absolute path of the folder; its parents are searched after it. Of two files in one
            folder, ``moorage.toml`` counts.

    Raises:
        ConfigurationError: a file cannot be read, or is no TOML.
    """
    for folder in (start, *start.parents):
        for name in ("moorage.toml", "pyproject.toml"):
            table = read_table(folder / name)
            if table is not None:
                return folder / name, table
    return None


def read_table(path: Path) -> Any:
    """Return moorage's table of one file, None where there is none.

    Raises:
        ConfigurationError: the file cannot be read, or is no TOML.
    """
    own = path.name == "moorage.toml"
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        if not own or not os.access(path.parent, os.X_OK):  # whether it is there cannot even be seen
            return None
        raise ConfigurationError(f"{path} cannot be read", why=str(error.strerror)) from error
    if not own and b"moorage" not in content:
        return None
    try:
        table = tomllib.loads(content.decode())
    except ValueError as error:
        if not own and b"tool.moorage" not in content:
            return None
        raise ConfigurationError(f"{path} is no valid TOML", why=str(error)) from None
    return table if own else table.get("tool", {}).get("moorage")
