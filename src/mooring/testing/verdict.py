"""What a conformance check found, readable and fit for a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what must be, as a clause: ``every kernel type has a name of its own``.
        passed: whether it is so.
        why: what was seen instead.
    """

    name: str
    passed: bool
    why: str = ""


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
        return all(each.passed for each in self.checks)

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
            lines.append(f"  {'ok  ' if each.passed else 'FAIL'} {each.name}")
            if not each.passed and each.why:
                lines += [f"         {line}" for line in each.why.splitlines()]
        return "\n".join([head, *lines])
