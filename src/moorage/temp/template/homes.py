"""Where imported modules keep a path of the HOME they were imported with: each server has one of its own.

JupyterLab makes the defaults of its settings' and workspaces' folders when it is imported, send2trash that of
the trash, ``site`` that of a user's packages. The template is started with a HOME that is no visitor's, finds
all places where its path has come to, and each server puts its own there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any


@dataclass(frozen=True)
class KeptHome:
    """One such place.

    Args:
        holder: a dictionary, or an object.
        name: key, or attribute.
    """

    holder: Any
    name: Any

    def renew(self, old: str, new: str) -> None:
        """Put another HOME into it.

        Args:
            old: the HOME that is there.
            new: the other one.
        """
        if isinstance(self.holder, dict):
            if self.name in self.holder:  # an environment may have lost it since
                self.holder[self.name] = renewed(self.holder[self.name], old, new)
        else:
            setattr(self.holder, self.name, renewed(getattr(self.holder, self.name), old, new))


def find(home: str) -> list[KeptHome]:
    """Return where modules, their classes and the traits of these keep a path.

    Args:
        home: what it begins with.
    """
    found: list[KeptHome] = []
    for module in list(sys.modules.values()):
        held = getattr(module, "__dict__", None)
        if isinstance(held, dict):
            found += _in_module(held, home)
    return found


def _in_module(held: dict[str, Any], home: str) -> Iterator[KeptHome]:
    for name, value in list(held.items()):
        yield from _in(held, name, value, home)
        if isinstance(value, type) and value.__module__ == held.get("__name__"):
            for attribute, kept in list(vars(value).items()):
                yield from _in(value, attribute, kept, home)


def _in(holder: object, name: str, value: object, home: str) -> Iterator[KeptHome]:
    if mentions(value, home):
        yield KeptHome(holder, name)
    elif isinstance(value, dict):
        yield from [KeptHome(value, key) for key, each in list(value.items()) if mentions(each, home)]
    elif mentions(getattr(value, "__dict__", {}).get("default_value"), home):
        yield KeptHome(value, "default_value")


def mentions(value: object, home: str) -> bool:
    """Whether a value is a path with that HOME in it."""
    if isinstance(value, PurePath):
        value = str(value)
    return home in value if isinstance(value, str) else isinstance(value, bytes) and home.encode() in value


def renewed(value: Any, old: str, new: str) -> Any:
    """Return a path with another HOME in it."""
    if isinstance(value, bytes):
        return value.replace(os.fsencode(old), os.fsencode(new))
    return type(value)(str(value).replace(old, new))
