"""A guard that writes down what it is told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """``what`` is guard or unguard; ``exists`` says whether the path was there at that moment."""

    what: str
    path: Path
    link: str | None
    exists: bool


@dataclass
class RecordingGuard:
    """A :class:`moorage.notebooks.output.guard.Guard`."""

    calls: list[Call] = field(default_factory=list)

    def guard(self, path: Path, link: str | None = None) -> None:
        self.calls.append(Call("guard", path, link, os.path.lexists(path)))

    def unguard(self, path: Path) -> None:
        self.calls.append(Call("unguard", path, None, os.path.lexists(path)))
