"""What is true of a kernel: one record for each status, each holding only what is true then.

:mod:`moorage.plan.lifecycle` says how one follows another.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Cause = Literal["code", "signal", "out of memory", "deadline"]
EndCause = Literal["request", "deadline", "no answer"]
"""Why a process is to end: a request, a deadline of the caller's that passed, or that it was started again
and did not answer in time."""
Rung = Literal["asked", "terminated", "killed"]
"""A step of the shutdown ladder."""


class Starting(Struct, frozen=True):
    """The launcher has been asked for a process.

    Attributes:
        to_end: why the process is to be killed as soon as there is one; None where it is to run.
        answer_within: seconds that the process has for its answer; None where the caller's deadline counts.
    """

    since: float
    to_end: EndCause | None = None
    answer_within: float | None = None


class Registering(Struct, frozen=True):
    """The process runs; it has not proven that it hears and is heard.

    Attributes:
        answer_by: when it must have; None where the caller's deadline counts.
    """

    since: float
    pid: int
    answer_by: float | None = None


class Running(Struct, frozen=True):
    """The kernel has answered and its output reaches us.

    Attributes:
        stopped: what holds its process still, in words such as ``stopped (SIGSTOP)``; empty while it runs. It
            is looked at while an answer is owed and does not come.
    """

    since: float
    pid: int
    stopped: str = ""


class Stopping(Struct, frozen=True):
    """The kernel is to end.

    Attributes:
        rung: the last step taken.
        next_rung_at: when the next one is; without a meaning once the tree has been killed.
        grace: seconds for each rung.
        cause: why it is to end.
    """

    since: float
    pid: int
    rung: Rung
    next_rung_at: float
    grace: float
    cause: EndCause


class Exited(Struct, frozen=True):
    """The process has ended.

    Attributes:
        cause: how: an exit code, a signal, the kernel's out-of-memory counter, or a deadline of ours.
        code, signal: whichever there is.
        last_output: the tail of stdout and stderr.
        expected: True when its end was requested.
        gave_up: why a kernel with a policy is not started again; else empty.
    """

    since: float
    cause: Cause
    code: int | None
    signal: int | None
    last_output: str
    expected: bool
    gave_up: str = ""


class Restarting(Struct, frozen=True):
    """Another process is to take the kernel's place.

    Attributes:
        pid: of the process that is being ended, or that has died.
        death: how that died; None where it is being ended to be started again.
        at: when the new one is started; None for as soon as the old one has ended.
    """

    since: float
    pid: int
    death: Exited | None = None
    at: float | None = None


class Lost(Struct, frozen=True):
    """The process that would know what became of it is gone."""

    since: float


Status = Starting | Registering | Running | Restarting | Stopping | Exited | Lost
