"""What an examination finds: one record for everything that was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from moorage.errors import MoorageError

Level = Literal["ok", "warn", "fail"]
"""``warn``: something would not work if it were asked for; ``fail``: kernels do not launch as they should."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: what it is, in a word or two.
        level: how it stands.
        says: how it is, as a clause.
        do: what to do about it; empty where nothing is to be done.
        seconds: how long it took, where something was started.
    """

    about: str
    level: Level
    says: str
    do: str = ""
    seconds: float | None = None


def refused(about: str, error: MoorageError, level: Level = "fail") -> Finding:
    """Return what an error tells of something that was tried."""
    return Finding(about, level, f"{error.what}. {error.why}".rstrip(". "), error.do)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the gravest level among findings; ``ok`` of none."""
    levels: dict[Level, int] = {"ok": 0, "warn": 1, "fail": 2}
    return max((each.level for each in findings), key=levels.__getitem__, default="ok")
