"""What a visitor and an operator are told of a server's brake."""

from __future__ import annotations

from dataclasses import dataclass

from moorage.temp.time_left import countdown


@dataclass(frozen=True)
class BrakeTold:
    """How it stands.

    Args:
        after: seconds of full load without the visitor after which the share is lowered.
        state: ``full``, ``lowered`` or ``asked``.
        alone: seconds for which the server has computed without its visitor.
    """

    after: float
    state: str = "full"
    alone: float = 0.0

    @property
    def words(self) -> str:
        """One sentence, without what ends it; empty where nothing is asked."""
        if self.state != "asked":
            return ""
        return (
            f"Your programs have computed for {countdown(self.alone)} without you, "
            "and have a smaller share of the processors now"
        )
