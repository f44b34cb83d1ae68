"""One notebook on one kernel: cell by cell, outputs into the notebook whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from msgspec import Struct

from moorage.errors import DeadlineExceeded, MoorageError
from moorage.json_types import JsonMapping, JsonObject
from moorage.kernel.client import ExecutionError, Receiver, Request, error_of
from moorage.kernel.interruption import Interruption
from moorage.kernel.kernel import Kernel
from moorage.kernel.outputs import Displays, OutputArea, is_updatable
from moorage.kernel.published import lost
from moorage.kernel.quirks import late_output
from moorage.kernel.weight import weigh
from moorage.notebooks.documents.tags import expects_error, runnable
from moorage.notebooks.events import Failure, Status
from moorage.notebooks.execution.widgets import Widgets
from moorage.wire import messages
from moorage.wire.messages import Message

_SHOWN = frozenset(
    {"stream", "display_data", "execute_result", "error", "clear_output", "update_display_data"}
)

# A cell that prints more than this runs away: it is interrupted before it fills the machine's memory.
MOST_OUTPUT = 512 * 1024 * 1024


_LOST = "the kernel published faster than it could send, and dropped some of the cell's output"

# How often a kernel is asked whether children's output is still on its way; each time its threads get a turn.
_LOOKS = 3

# What kernels answer that did not run a cell, or not to its end; the first is older than the specification.
_NOT_RUN = frozenset({"abort", "aborted"})

# How often a cell is sent again that the kernel refused: tslab drops all that comes within 0.2 s of an error.
_ASKED_AGAIN = 5

# Timers that are this late (s) tell that the loop did not run meanwhile.
_STOOD_STILL = 0.1


class TimeLimits(Struct, frozen=True):
    """What a notebook may take.

    Attributes:
        notebook: seconds for all cells together; 0 is no limit.
        cell: seconds for each cell; 0 is no limit. Those in which its kernel is stopped do not count.
        grace: seconds a cell gets to end after an interrupt before its kernel is killed.
        output: how many bytes one cell may show, about: texts, displays with all that is nested in them, and
            what widgets keep. One that shows more is interrupted, and what it shows then is dropped.
    """

    notebook: float = 0.0
    cell: float = 0.0
    grace: float = 5.0
    output: int = MOST_OUTPUT


class Execution(Struct, frozen=True):
    """How it went.

    Attributes:
        status: ``ok``, ``failed``, ``timeout`` or ``died``.
        failure: the first error that was not expected, or None.
        cells_done: how many code cells were begun and ended.
        reason: for deaths, deadlines and floods, one sentence.
    """

    status: Status
    failure: Failure | None
    cells_done: int
    reason: str = ""


class _Cell:
    """One code cell while and after it runs."""

    def __init__(self, number: int, cell: JsonObject, displays: Displays) -> None:
        self.number = number
        self.cell = cell
        self.area = OutputArea(displays)
        self.printed = 0
        self.lost = False

    def write_back(self) -> None:
        self.cell["outputs"] = self.area.outputs
        self.cell["execution_count"] = self.area.execution_count


def _size(characters: int) -> str:
    return f"{characters >> 20} MiB" if characters >= 1 << 20 else f"{characters} bytes"


def _refused(reply: JsonMapping) -> bool:
    """Tell whether a cell was dropped: one that was interrupted has its number."""
    return reply.get("status") in _NOT_RUN and reply.get("execution_count") is None


def _ignore(_index: int, _total: int, _cell: int) -> None:
    """Drop progress that is not listened to."""


class Executor:
    """Runs the cells of one notebook on one kernel."""

    def __init__(
        self,
        notebook: JsonObject,
        kernel: Kernel,
        *,
        limits: TimeLimits | None = None,
        allow_errors: bool = False,
        lines: Mapping[int, int] | None = None,
        on_cell: Callable[[int, int, int], None] = _ignore,
    ) -> None:
        """Describe the run.

        Args:
            notebook: nbformat-4 JSON; its code cells get their outputs in place.
            kernel: a running kernel.
            limits: deadlines and bounds.
            allow_errors: go on after a cell that raised.
            lines: cell index (from 0) to line in the source file, for messages.
            on_cell: called as each cell begins with its number among the code cells that run (from 1),
                how many those are, and its number among all cells (from 1).
        """
        self._notebook = notebook
        self._kernel = kernel
        self._limits = limits or TimeLimits()
        self._allow_errors = allow_errors
        self._lines = lines or {}
        self._on_cell = on_cell
        self._displays = Displays()
        self._widgets = Widgets()
        self._ran: list[_Cell] = []
        self._failure: Failure | None = None
        self._flooded: _Cell | None = None
        self._kept_before = 0
        self._over = False
        self._flood_end = self._interruption()
        self._late_output = late_output(kernel.spec, kernel.info)

    async def run(self) -> Execution:
        """Run all cells that are to run.

        Returns:
            How it went; nothing is raised for what the notebook or its kernel does. Outputs up to that
            point are in the notebook. Cancelling leaves them there too.
        """
        todo = [
            _Cell(number, cell, self._displays)
            for number, cell in enumerate(self._notebook["cells"], 1)
            if runnable(cell)
        ]
        for job in todo:
            job.cell["outputs"], job.cell["execution_count"] = [], None
        self._kernel.client.listen(self._follow)
        try:
            return await self._run(todo)
        finally:
            self._over = True
            self._flood_end.call_off()
            self.write_back()

    async def _run(self, todo: list[_Cell]) -> Execution:
        done = 0
        try:
            async with asyncio.timeout(self._limits.notebook or None) as notebook_deadline:
                for index, job in enumerate(todo, 1):
                    self._on_cell(index, len(todo), job.number)
                    self._ran.append(job)
                    self._kept_before = self._kept()
                    if not await self._cell(job) and not self._allow_errors:
                        return Execution("failed", self._failure, done + 1)
                    done += 1
                await self._read_from_children()
        except TimeoutError:
            expired = notebook_deadline.expired()
            seconds = self._limits.notebook if expired else self._limits.cell
            return await self._late(seconds, done, whole=expired)
        except MoorageError as error:
            if self._ran and self._flooded is self._ran[-1]:
                return Execution("failed", self._flood_failure(), done, "it would not stop and was killed")
            return Execution("died", self._failed(type(error).__name__, str(error)), done, str(error))
        return Execution("failed" if self._failure else "ok", self._failure, done)

    async def _cell(self, job: _Cell) -> bool:
        """Run one cell; False when it raised what it was not expected to raise."""

        def receive(message: Message) -> None:
            self._receive(job, message)

        reply = await self._reply(job, receive)
        for _ in range(_ASKED_AGAIN):
            if not _refused(reply) or job.area.outputs:
                break
            reply = await self._reply(job, receive)
        self._tell_widgets()
        count = reply.get("execution_count")
        if job.area.execution_count is None and isinstance(count, int):
            job.area.execution_count = count
        return self._judge(job, reply)

    async def _reply(self, job: _Cell, receive: Receiver) -> JsonMapping:
        """Have the kernel run a cell, and wait until that and its output are complete."""
        # Nothing is ever queued behind a cell, so an error shall not make the kernel refuse the next one.
        code = messages.execute_request(job.cell["source"], stop_on_error=False)
        request = self._kernel.client.request("shell", code, receive)
        try:
            reply = (await self._done(request)).content
        finally:
            self._flood_end.call_off()
        if self._late_output is not None:
            await self._late_output.end(self._kernel.client, receive)
        job.lost |= await lost(self._kernel.client, self._kernel.client.published, request, receive)
        return reply

    async def _read_from_children(self) -> None:
        """Take in what child processes printed last: a thread of the kernel may still be reading it."""
        for _ in range(_LOOKS):
            await self._kernel.client.flush(self.receive_late)

    def receive_late(self, message: Message) -> None:
        """Give the last cell what is published after its end in the name of another request.

        After :meth:`run` it stands in the notebook with the next :meth:`write_back`.
        """
        if self._ran and message.msg_type in _SHOWN:
            self._receive(self._ran[-1], message)

    async def _done(self, request: Request) -> Message:
        """Wait for the end of a cell; raise TimeoutError when it ran too long."""
        loop, left = asyncio.get_running_loop(), self._limits.cell
        still = self._kernel.supervisor.clients.standstill
        before = still.seconds() if left else 0.0
        while True:
            due = loop.time() + left
            await asyncio.wait([request.done], timeout=left or None)
            # While this process stood still (Ctrl-Z, a large copy) the cell may have ended unnoticed.
            if not request.done.done() and (late := loop.time() - due) > _STOOD_STILL:
                await asyncio.wait([request.done], timeout=min(late, self._limits.cell))
            if request.done.done():
                return request.done.result()
            # While its kernel was stopped it did not run.
            stopped = still.seconds()
            left, before = stopped - before, stopped
            if left <= 0:
                raise TimeoutError

    def _judge(self, job: _Cell, reply: JsonMapping) -> bool:
        if self._flooded is job:
            self._flood_failure()
            return False
        if job.lost:
            self._failure = self._failure or self._failed("OutputLost", _LOST)
            return False
        error = error_of(reply)
        if error is None and reply.get("status") not in _NOT_RUN:
            return True
        if expects_error(job.cell):
            return True
        error = error or ExecutionError("Aborted", "the kernel did not run the cell to its end", ())
        self._failure = self._failure or self._failed(error.ename, error.evalue, error.traceback)
        return False

    def _flood_failure(self) -> Failure:
        text = f"the cell printed more than {_size(self._limits.output)} and was interrupted"
        self._failure = self._failure or self._failed("OutputLimit", text)
        return self._failure

    def _tell_widgets(self) -> None:
        for request in self._widgets.updates():
            self._kernel.client.send("shell", request)

    async def _late(self, seconds: float, done: int, *, whole: bool) -> Execution:
        """Interrupt the cell whose time is up; kill the kernel if it does not end."""
        what = "the notebook" if whole else "the cell"
        stopped = self._kernel.supervisor.clients.standstill.look()
        why = f", and its kernel is {stopped}" if stopped else ""
        error = DeadlineExceeded(f"{what} took longer than {seconds:g} s{why}")
        failure = self._failed("DeadlineExceeded", error.what)
        with self._interruption() as end:
            end.begin()
            try:
                await self._kernel.client.flush()
            except MoorageError:
                if not end.gave_up:
                    return Execution("timeout", failure, done, f"{error.what}; interrupted, it died")
        return Execution("timeout", failure, done, error.what)

    def _interruption(self) -> Interruption:
        """Return what ends a cell: by an interrupt, or with its kernel where that does not care for it."""
        return Interruption(
            self._kernel, self._limits.grace, lambda: self._kernel.supervisor.stop(for_deadline=True)
        )

    def _receive(self, job: _Cell, message: Message) -> None:
        if message.msg_type in _SHOWN:
            if self._flooded is job and message.msg_type != "error":
                return
            captured = self._widgets.capture(message)
            if message.msg_type == "clear_output":
                job.printed = 0
            elif captured or not is_updatable(message):  # what can be updated is weighed where it is kept
                job.printed += weigh(message.content)
            if not captured:
                job.area.handle(message)
            self._limit(job)
        else:
            job.area.handle(message)

    def _follow(self, message: Message) -> None:
        if message.msg_type.startswith("comm_") and not self._over:
            self._widgets.handle(message)
            if self._ran:
                self._limit(self._ran[-1])

    def _kept(self) -> int:
        """Return how much is kept that later messages may replace, in bytes."""
        return self._displays.weight + self._widgets.weight

    def _limit(self, job: _Cell) -> None:
        """Interrupt a cell that shows more than it may."""
        shown = job.printed + self._kept() - self._kept_before
        if shown > self._limits.output and self._flooded is not job:
            self._flooded = job
            self._flood_end = self._interruption()
            self._flood_end.begin()

    def _failed(self, ename: str, evalue: str, traceback: tuple[str, ...] = ()) -> Failure:
        ename = ename or "Error"  # bash_kernel names none
        if not self._ran:
            return Failure(0, ename, evalue, traceback)
        job = self._ran[-1]
        return Failure(
            job.number, ename, evalue, traceback, job.cell["source"], self._lines.get(job.number - 1)
        )

    def write_back(self) -> None:
        """Put what the cells have shown so far into the notebook."""
        for job in self._ran:
            job.write_back()
        metadata = self._notebook["metadata"]
        metadata.pop("widgets", None)
        if (widgets := self._widgets.metadata()) is not None:
            metadata["widgets"] = widgets
