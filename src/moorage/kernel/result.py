"""What came of one execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moorage.kernel.outputs import Output, traceback_of


@dataclass(frozen=True)
class ExecutionError:
    """What the kernel said of an exception.

    Attributes:
        ename, evalue: type and text of the exception.
        traceback: lines, often with ANSI colours.
    """

    ename: str
    evalue: str
    traceback: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """One execution.

    Attributes:
        outputs: nbformat output dicts.
        status: ``ok`` or ``error``; ``aborted`` from kernels that drop what is queued behind an error, which
            some spell ``abort``.
        error: the exception, where there was one.
        seconds: from sending the request to reply and idle.
        execution_count: the kernel's counter, or None.
        expressions: the reply's ``user_expressions``.
        complete: False where the kernel dropped some of the output; a line on stderr says so, too.
    """

    outputs: list[Output]
    status: str
    error: ExecutionError | None
    seconds: float
    execution_count: int | None
    expressions: Mapping[str, Any]
    complete: bool = True


def error_of(reply: Mapping[str, Any]) -> ExecutionError | None:
    """Return the exception an ``execute_reply`` tells of, or None."""
    if reply.get("status") != "error":
        return None
    traceback = tuple(traceback_of(reply))
    return ExecutionError(str(reply.get("ename", "")), str(reply.get("evalue", "")), traceback)
