"""The environment of a process: what changes are made to that of the launcher."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from moorage.errors import UsageError

Changes = Mapping[str, str | os.PathLike[str] | None]
"""Variables by name; None unsets one."""


def checked(changes: Mapping[Any, Any] | None) -> dict[str, str | None]:
    """Return changes as text.

    Raises:
        UsageError: a name or value is no text, or such that no environment can hold it. The message does not
            tell a value: it may be a secret.
    """
    result: dict[str, str | None] = {}
    for name, value in (changes or {}).items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise UsageError(f"{name!r} is no name of a variable", do="Use text without = in it")
        if value is not None and not isinstance(value, str | os.PathLike):
            raise UsageError(
                f"the variable {name} cannot be set",
                why=f"Its value is of type {type(value).__name__}",
                do="Give text, or None to unset it",
            )
        text = None if value is None else os.fspath(value)
        if text is not None and (not isinstance(text, str) or "\0" in text):
            raise UsageError(f"the variable {name} cannot be set", why="Its value holds what no variable can")
        result[name] = text
    return result


def changed(base: Mapping[str, str], changes: Changes | None) -> dict[str, str]:
    """Return an environment with some variables set and others unset.

    Args:
        base: the environment to begin with.
        changes: what is to be different.

    Raises:
        UsageError: as :func:`checked`.
    """
    asked = checked(changes)
    kept = {name: value for name, value in base.items() if name not in asked}
    return kept | {name: value for name, value in asked.items() if value is not None}
