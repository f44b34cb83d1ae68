"""Code in a kernel, with this terminal around it: output as it comes, questions, Ctrl-C, exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from moorage.cli.complaints import FAILED, INTERRUPTED, OK
from moorage.cli.presses import presses
from moorage.cli.run_request import RunRequest
from moorage.cli.stdio import json_text
from moorage.cli.terminal import QuestionOver, Terminal
from moorage.errors import DeadlineExceeded, KernelDied, MoorageError, UsageError
from moorage.json_types import JsonObject
from moorage.kernel.client import ExecutionError, Result
from moorage.kernel.interruption import Interruption
from moorage.kernel.outputs import OutputArea
from moorage.kernel.quirks import late_output
from moorage.kernel.standstill import advice
from moorage.kinds import giving_arguments
from moorage.notebooks.show import ansi
from moorage.plan.lifecycle import Running, Status
from moorage.version import __version__
from moorage.wire.messages import Message

if TYPE_CHECKING:
    from moorage.kernel.attach import AttachedKernel
    from moorage.kernel.kernel import Kernel

    AnyKernel = Kernel | AttachedKernel

# Seconds the code has to end after it was interrupted because its time was over.
_GRACE = 5.0
_FOR_EVER = 365 * 86400.0
# How often a kernel is asked whether output of children is still on its way; its threads get a turn then.
_LOOKS = 3


def run_session(request: RunRequest, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """Run the code and show what comes of it.

    Args:
        request: what is to be run.
        stdin: answers the code's questions.
        stdout: for what the code prints, and for results.
        stderr: for what it prints there, for errors and for notes.

    Returns:
        The exit code.

    Raises:
        UsageError: no kernel can be started with so few open files.
        MoorageError: the kernel could not be had, or died.
    """
    if request.existing is None:
        from moorage.notebooks.resources import check_open_files

        check_open_files()
    return asyncio.run(Conversation(request, Terminal(stdin, stdout, stderr, quiet=request.json)).run())


@dataclass
class _Cell:
    """The outputs and the result of one piece of code.

    Attributes:
        area: its outputs, where a document of them is asked for.
        raised: whether an error was among them.
    """

    area: OutputArea = field(default_factory=OutputArea)
    result: Result | None = None
    raised: bool = False

    def to_json(self) -> JsonObject:
        result = self.result
        return {
            "status": "interrupted" if result is None else result.status,
            "seconds": None if result is None else round(result.seconds, 6),
            "execution_count": self.area.execution_count,
            "outputs": self.area.outputs,
            "complete": None if result is None else result.complete,
            "error": None if result is None or result.error is None else _plain(result.error),
        }


def _plain(error: ExecutionError) -> JsonObject:
    """Return an exception as a program reads it: without the colours of its traceback."""
    return {
        "ename": ansi.strip(error.ename),
        "evalue": ansi.strip(error.evalue),
        "traceback": [ansi.strip(line) for line in error.traceback],
    }


@contextmanager
def _end_of(kernel: AnyKernel | None) -> Iterator[int | None]:
    """Yield a descriptor that becomes readable at the end of the kernel's process; None: there is none."""
    process = None if kernel is None else kernel.process
    descriptor = None
    if sys.platform == "linux" and process is not None:
        with suppress(OSError):
            descriptor = os.pidfd_open(process.pid)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


class Conversation:
    """One run: a kernel, the code, and this terminal."""

    def __init__(self, request: RunRequest, terminal: Terminal) -> None:
        """Take what is to be run, and where it is shown."""
        self._request = request
        self._terminal = terminal
        self._cells: list[_Cell] = []
        self._kernel: AnyKernel | None = None
        self._forked: JsonObject = {"forked": None, "not_forked": None}
        self._interrupts = 0
        self._stopped = ""
        self._end: Interruption | None = None
        self._until: float | None = None

    async def run(self) -> int:
        """Run it all and return the exit code."""
        task = asyncio.current_task()
        assert task is not None
        terminal = self._terminal
        with (
            presses(lambda: self._on_interrupt(task.cancel)) as pressed,
            terminal.needed(task.cancel, pressed),
        ):
            try:
                code = await self._shown()
            except asyncio.CancelledError:
                if not self._interrupts and terminal.lost is None:
                    raise
                task.uncancel()
                code = INTERRUPTED
        if terminal.lost is not None and not self._interrupts:
            raise terminal.lost
        return INTERRUPTED if self._interrupts else code

    async def _shown(self) -> int:
        """Run it, and wait until its output was taken: every note on it comes after that."""
        try:
            return await self._run()
        finally:
            await self._terminal.drain(hurried=self._interrupts > 0)

    async def _run(self) -> int:
        began = monotonic()
        death: KernelDied | None = None
        failure: MoorageError | None = None
        try:
            async with self._opened() as kernel:
                self._kernel = kernel
                if not self._request.existing:
                    from moorage.kernel.kernel import not_forked

                    why = not_forked(kernel.process)  # type: ignore[arg-type]  # launched here: it has a handle
                    self._forked = {"forked": not why, "not_forked": why or None}
                kernel.subscribe(self._on_status)
                try:
                    await self._execute(kernel)
                except KernelDied as error:
                    death = error
        except MoorageError as error:
            failure = error
            raise
        finally:
            self._kernel = None
            if self._request.json:
                self._print_document(monotonic() - began, death, failure)
        if death is not None:
            raise death
        failed = any(cell.result is None or cell.result.status != "ok" for cell in self._cells)
        return FAILED if failed else OK

    def _opened(self) -> AbstractAsyncContextManager[AnyKernel]:
        request = self._request
        if request.existing is not None:
            from moorage.kernel.attach import attach

            return attach(request.existing, timeout=request.start_timeout or _FOR_EVER)
        from moorage.kernel.launch import launch

        return launch(
            request.kernel_type or "",
            cwd=request.cwd,
            env=request.env,
            kernel_args=request.kernel_args,
            isolate=request.isolate,  # type: ignore[arg-type]  # argparse has let one of its choices pass
            rendezvous=request.rendezvous,  # type: ignore[arg-type]  # as above
            timeout=request.start_timeout or _FOR_EVER,
        )

    async def _execute(self, kernel: AnyKernel) -> None:
        """Run the code; interrupt it at the deadline, and leave its kernel where that does not help."""
        deadline = self._request.timeout or None
        self._until = monotonic() + deadline if deadline else None
        try:
            async with asyncio.timeout(None) as patience:
                with Interruption(kernel, _GRACE, lambda: patience.reschedule(0)) as end:
                    self._end = end
                    if deadline is not None:
                        end.begin_after(deadline)
                    await self._run_cells(kernel, end)
        except TimeoutError:
            if not self._timed_out:
                raise
        if self._timed_out:
            why = f"Its kernel is {self._stopped}" if self._stopped else ""
            raise DeadlineExceeded(f"the code did not end within {deadline:g} s", why=why)

    async def _run_cells(self, kernel: AnyKernel, end: Interruption) -> None:
        await self._give_arguments(kernel)
        for source in self._request.cells:
            result = await self._one(kernel, source)
            if result.status != "ok" or self._interrupts:
                break
        for _ in range(_LOOKS if self._cells and not end.begun else 0):
            await kernel.client.flush(self._cells_receive)

    async def _give_arguments(self, kernel: AnyKernel) -> None:
        """Give the code the arguments that were typed behind its file, in ``sys.argv``."""
        argv = self._request.argv
        if str((kernel.info.get("language_info") or {}).get("name")) == "python":
            if len(argv) > 1 or (argv and self._request.existing is None):
                await kernel.client.execute(giving_arguments(argv), silent=True, store_history=False)
        elif len(argv) > 1:
            raise UsageError(
                f"{' '.join(argv[1:])} cannot be given to this kernel",
                why="Only Python kernels have sys.argv",
            )

    async def _one(self, kernel: AnyKernel, source: str) -> Result:
        cell = _Cell()
        self._cells.append(cell)
        result = cell.result = await kernel.client.execute(
            source,
            receive=self._cells_receive,
            stdin=self._answer if self._request.asks else None,
            late_output=late_output(kernel.spec, kernel.info),
            collect=False,
        )
        if not cell.raised:
            self._terminal.fail(result)
        return result

    def _cells_receive(self, message: Message) -> None:
        cell = self._cells[-1]
        cell.raised |= message.msg_type == "error"
        if self._request.json:
            cell.area.handle(message)
        self._terminal.show(message)

    def _answer(self, prompt: str, hidden: bool) -> str | None:  # noqa: FBT001 - the signature of a provider
        """Ask in the terminal, in the loop's thread: nothing else is to be done meanwhile."""
        try:
            with _end_of(self._kernel) as end:
                return self._terminal.ask(prompt, hidden=hidden, until=self._until, end=end)
        except (KeyboardInterrupt, QuestionOver):
            return None
        except EOFError:
            raise MoorageError(
                "the code asks for input and there is none", why="Standard input has ended"
            ) from None

    @property
    def _timed_out(self) -> bool:
        return self._end is not None and self._end.begun

    def _on_status(self, status: Status) -> None:
        """Tell when the kernel is found stopped, and when it goes on."""
        if isinstance(status, Running) and status.stopped != self._stopped:
            self._stopped = status.stopped
            how = f"is {status.stopped}: {advice(status.stopped, status.pid)}"
            self._terminal.note(f"[the kernel {how if status.stopped else 'goes on'}]")

    def _on_interrupt(self, cancel: Callable[[], object]) -> None:
        self._interrupts += 1
        if self._kernel is None or self._interrupts > 1:
            cancel()
        else:
            with suppress(MoorageError):  # it has just died, which the waiting request raises
                self._kernel.interrupt()

    def _print_document(self, seconds: float, death: KernelDied | None, failure: MoorageError | None) -> None:
        document = {
            "moorage": __version__,
            "kernel": self._request.kernel_type or self._request.existing,
            "status": self._status(death, failure),
            "seconds": round(seconds, 3),
            **self._forked,
            "cells": [cell.to_json() for cell in self._cells],
            "died": None if death is None else str(death),
            "failed": None if failure is None else str(failure),
        }
        self._terminal.write(json_text(document) + "\n")

    def _status(self, death: KernelDied | None, failure: MoorageError | None) -> str:
        if death is not None:
            return "died"
        if self._timed_out:
            return "timeout"
        if self._interrupts:
            return "interrupted"
        if failure is not None:
            return "failed"
        return next((cell.result.status for cell in self._cells if cell.result and cell.result.error), "ok")
