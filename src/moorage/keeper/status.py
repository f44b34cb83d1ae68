"""What a keeper tells of its charge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from moorage.exit_status import ExitStatus
from moorage.json_types import JsonMapping

KeptState = Literal["starting", "running", "ending", "clearing", "asleep", "waking", "killing", "ended"]
EndReason = Literal["", "exit", "asked", "lease", "keeper", "lost"]
"""Why it ended or is about to: by itself, at a caller's wish, as the lease ran out, as its keeper was sent
SIGTERM, as its keeper was killed."""


@dataclass(frozen=True)
class KeptStatus:
    """The status of a kept process.

    Attributes:
        state: ``running``; ``asleep``, with ``clearing`` before it and ``waking`` after it; ``ending`` after
            SIGTERM, ``killing`` while what it started is killed; ``ended``.
        pid: its process id; None where it never had one.
        started: when, in seconds since the epoch.
        exit_status: how it ended; None while it lives, or where that is not known.
        reason: why it ended.
        left: processes that could not be killed, as they belong to other users.
        attached: how many links are attached.
        lease: seconds for which nothing may be attached; 0 for ever.
        lease_left: seconds until the lease has run out; None while it does not run.
        output: the newest part of its stdout and stderr, at most 8 KiB.
        written: bytes it has written to both.
        dropped: bytes of these that its log does not hold any more, or never did.
    """

    state: KeptState
    pid: int | None
    started: float | None
    exit_status: ExitStatus | None
    reason: EndReason
    left: int
    attached: int
    lease: float
    lease_left: float | None
    output: str
    written: int
    dropped: int

    @property
    def ended(self) -> bool:
        """Whether nothing of it is left."""
        return self.state == "ended"

    def describe(self) -> str:
        """Return the end in words: ``exit code 3``, ``killed by SIGTERM: its lease ran out``."""
        if self.exit_status is None:
            return self.state if not self.ended else _REASONS[self.reason] or "ended"
        why = _REASONS[self.reason]
        return self.exit_status.describe() + (f": {why}" if why else "")


_REASONS: dict[EndReason, str] = {
    "": "",
    "exit": "",
    "asked": "",
    "lease": "its lease ran out",
    "keeper": "its keeper was told to end",
    "lost": "its keeper was killed",
}


def kept_status(told: JsonMapping) -> KeptStatus:
    """Read a status, or what a record says of one."""
    ended, output = told["ended"], told["output"]
    exit_status = None
    if ended is not None:
        exit_status = ExitStatus(ended["code"], ended["signal"], ended["oom"], ended["peak"])
    return KeptStatus(
        state=told["state"],
        pid=told["pid"],
        started=told["started"],
        exit_status=exit_status,
        reason=told["reason"],
        left=told["left"],
        attached=told.get("attached", 0),
        lease=told["lease"],
        lease_left=told.get("lease_left"),
        output=output.get("tail", ""),
        written=output["total"],
        dropped=output["dropped"],
    )
