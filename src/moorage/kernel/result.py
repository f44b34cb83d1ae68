"""What came of one execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from moorage.errors import CodeFailed
from moorage.kernel.outputs import Output, OutputArea, traceback_of

_SHOWN = 80
"""Characters of an exception's text in a ``repr``."""


class ExecutionError(msgspec.Struct, frozen=True):
    """What the kernel said of an exception.

    Attributes:
        ename, evalue: type and text of the exception.
        traceback: lines, often with ANSI colours.
    """

    ename: str
    evalue: str
    traceback: tuple[str, ...]


class Result(msgspec.Struct, frozen=True):
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

    def __repr__(self) -> str:
        count = "" if self.execution_count is None else f" [{self.execution_count}]"
        number = len(self.outputs)
        outputs = f"{number} output" if number == 1 else f"{number} outputs"
        error = "" if self.error is None else f", {_line(self.error)}"
        lost = "" if self.complete else ", some output was lost"
        return f"<Result{count} {self.status} in {self.seconds:.3g} s: {outputs}{error}{lost}>"

    @property
    def text(self) -> str:
        """What a terminal would show of the outputs.

        That is what was printed on stdout and stderr, and the ``text/plain`` of results and displays, each on
        lines of its own. An exception is not part of it: see ``error``.
        """
        text = ""
        for output in self.outputs:
            if output["output_type"] == "stream":
                text += _joined(output.get("text", ""))
            elif "text/plain" in (data := output.get("data", {})):
                between = "" if not text or text.endswith("\n") else "\n"
                text += between + _joined(data["text/plain"]) + "\n"
        return text

    def raise_for_error(self) -> Self:
        """Raise an exception where the code raised one, or did not run.

        Returns:
            This result, so that ``(await kernel.execute(code)).raise_for_error().text`` can be written.

        Raises:
            CodeFailed: ``status`` is not ``ok``; its ``ename``, ``evalue`` and ``traceback`` are those of
                ``error``.
        """
        if self.status == "ok":
            return self
        if self.error is None:
            why = "The kernel dropped it behind an earlier error"
            raise CodeFailed("the code did not run", why=why, do="Run it again")
        error = self.error
        raise CodeFailed(
            f"the code raised {_line(error)}",
            ename=error.ename,
            evalue=error.evalue,
            traceback=error.traceback,
        )


def _line(error: ExecutionError) -> str:
    """Return an exception in one line."""
    first = error.evalue.strip().split("\n", 1)[0]
    first = first if len(first) <= _SHOWN else first[:_SHOWN] + "..."
    return f"{error.ename}: {first}" if first else error.ename


def _joined(text: object) -> str:
    """Return the text of an output, which notebooks may hold as a list of lines."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text)


def result_of(reply: Mapping[str, Any], area: OutputArea, seconds: float, *, complete: bool) -> Result:
    """Return what came of an execution.

    Args:
        reply: the content of its ``execute_reply``.
        area: its outputs.
        seconds: how long it took.
        complete: whether all outputs are there.
    """
    return Result(
        outputs=area.outputs,
        status=str(reply.get("status", "ok")),
        error=error_of(reply),
        seconds=seconds,
        execution_count=area.execution_count or reply.get("execution_count"),
        expressions=reply.get("user_expressions") or {},
        complete=complete,
    )


def error_of(reply: Mapping[str, Any]) -> ExecutionError | None:
    """Return the exception an ``execute_reply`` tells of, or None."""
    if reply.get("status") != "error":
        return None
    traceback = tuple(traceback_of(reply))
    return ExecutionError(str(reply.get("ename", "")), str(reply.get("evalue", "")), traceback)
