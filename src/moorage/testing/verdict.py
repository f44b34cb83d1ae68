"""What a conformance check found, readable and fit for a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what must be, as a clause: ``every kernel type has a name of its own``.
        passed: whether it is so.
        why: what was seen instead, or why it was not looked at.
        required: whether it must be; else it is advice, and fails no kernel.
        skipped: whether it was not looked at; then it counts as passed.
    """

    name: str
    passed: bool
    why: str = ""
    required: bool = True
    skipped: bool = False

    @property
    def outcome(self) -> Literal["ok", "FAIL", "advice", "skipped"]:
        """What came of it, in a word."""
        if self.skipped:
            return "skipped"
        if self.passed:
            return "ok"
        return "FAIL" if self.required else "advice"


@dataclass(frozen=True)
class Verdict:
    """All that was looked at.

    Attributes:
        subject: what was checked.
        checks: in the order in which they were made.
    """

    subject: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is as it must be."""
        return all(each.outcome != "FAIL" for each in self.checks)

    def require(self) -> None:
        """Return when everything is as it must be.

        Raises:
            AssertionError: something is not; the message is the verdict.
        """
        if not self.passed:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        head = f"{self.subject}: {'conforms' if self.passed else 'does not conform'}"
        lines = []
        for each in self.checks:
            lines.append(f"  {each.outcome:<7} {each.name}")
            if each.outcome != "ok":
                lines += [f"            {line}" for line in each.why.splitlines()]
        return "\n".join([head, *lines])
