"""Many notebooks at once: the driver of :mod:`moorage.plan.schedule`.

One loop takes events from a queue, asks the schedule, and carries out what it says. Each running attempt
is a task of one TaskGroup and reports back through the queue.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from moorage.errors import WardenLost
from moorage.notebooks import jobserver
from moorage.notebooks.events import (
    GOOD,
    INTERRUPTED,
    Abandoned,
    MemorySampled,
    Note,
    NotebookFinished,
    NotebookRetried,
    NotebookStarted,
    Outcome,
)
from moorage.notebooks.execution.attempt import Attempt
from moorage.notebooks.execution.context import Context
from moorage.notebooks.execution.publish import unwritten
from moorage.notebooks.execution.rendering import Rendering
from moorage.notebooks.jobserver import Jobserver
from moorage.notebooks.planning.item import Item
from moorage.notebooks.unexpected import unexpected
from moorage.plan import schedule
from moorage.plan.schedule import Limits, Schedule
from moorage.process.machine import available_memory
from moorage.tasks import every

SAMPLE_SECONDS = 1.0
"""How often memory is looked at."""
MEMORY_FLOOR = 256 * 1024 * 1024
"""Nothing more is started while the machine has fewer bytes free than this."""


class _Ended(Struct, frozen=True):
    """An attempt is over."""

    id: str
    outcome: Outcome


class Batch:
    """One run of many notebooks."""

    def __init__(
        self,
        context: Context,
        items: Mapping[str, Item],
        jobs: tuple[schedule.Job, ...],
        *,
        slots: int,
        server: jobserver.Advertised | None = None,
    ) -> None:
        """Plan the run.

        Args:
            context: what all notebooks share.
            items: the notebooks by name.
            jobs: what the schedule knows of them.
            slots: how many may run at once.
            server: make's jobserver, which then owns all slots but one.

        Raises:
            UsageError: they wait for each other in a circle.
        """
        self._context = context
        self._items = items
        self._slots = slots
        self._server = server
        self._schedule = Schedule(
            jobs,
            Limits(jobs=slots, floor=MEMORY_FLOOR),
            fail_fast=context.settings.fail_fast,
            tokens=server is not None,
        )
        self._queue: asyncio.Queue[schedule.Event | _Ended] = asyncio.Queue()
        self._attempts: dict[str, Attempt] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._renderings: dict[str, Rendering] = {}
        self._released: set[str] = set()
        self._results: dict[str, Outcome] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._tokens: Jobserver | None = None
        self._done = False

    @property
    def running(self) -> tuple[str, ...]:
        """The notebooks that run now."""
        return tuple(self._attempts)

    def stop(self, reason: str) -> None:
        """Start nothing more and end what runs; what is finished is kept. Returns at once."""
        self._queue.put_nowait(schedule.Stop(reason))

    def abandon(self) -> None:
        """Tell that the run ends at once, and before it what is in place: some kernels had not ended."""
        for rendering in self._renderings.values():
            if rendering.placed is not None:
                self._context.emit(NotebookFinished(self._context.clock(), rendering.placed))
        self._context.emit(Abandoned(self._context.clock()))

    async def run(self) -> tuple[Outcome, ...]:
        """Run everything and return the outcomes in the order of the items.

        Cancelling ends every kernel; what is finished stays in place.
        """
        async with AsyncExitStack() as stack:
            if self._server is not None:
                self._tokens = await self._join_jobserver(self._server, stack)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            stack.enter_context(every(SAMPLE_SECONDS, self._sample))
            self._handle(schedule.MemoryAvailable(available_memory() or 2**62), tasks)
            self._handle(schedule.Begin(), tasks)
            while not self._done or self._tasks:
                event = await self._queue.get()
                if isinstance(event, _Ended):
                    self._on_ended(event, tasks)
                else:
                    self._handle(event, tasks)
                if isinstance(
                    event, schedule.Stop
                ):  # what stood before it in the queue may have started some
                    for task in self._tasks.values():
                        task.cancel()
        return tuple(self._outcomes[name] for name in self._items if name in self._outcomes)

    async def _join_jobserver(self, server: jobserver.Advertised, stack: AsyncExitStack) -> Jobserver | None:
        """Become a client of make's jobserver; None, and one notebook at a time, where that cannot be."""
        tokens = Jobserver(
            server,
            gained=lambda: self._queue.put_nowait(schedule.SlotGained()),
            changed=self._tell_warden,
        )
        try:
            return await stack.enter_async_context(tokens)
        except OSError as error:
            text = f"make's jobserver cannot be used, so one notebook runs at a time: {error.strerror}"
            self._context.emit(Note("notice", text))
            return None

    def _tell_warden(self, plan: jobserver.GiveBackPlan) -> None:
        """Tell the warden what to put back should this process be killed."""
        with suppress(OSError, WardenLost):  # then nothing can do it
            if isinstance(plan.write, int):
                self._context.launching.warden.tokens(plan.tokens, plan.write)
                return
            descriptor = os.open(plan.write, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
            try:
                self._context.launching.warden.tokens(plan.tokens, descriptor)
            finally:
                os.close(descriptor)

    def _handle(self, event: schedule.Event, tasks: asyncio.TaskGroup) -> None:
        self._perform(self._schedule.handle(event, self._context.clock()), tasks)

    def _perform(self, commands: list[schedule.Command], tasks: asyncio.TaskGroup) -> None:
        for command in commands:
            match command:
                case schedule.StartJob(name, attempt, worker):
                    self._start(name, attempt, worker, tasks)
                case schedule.Retry(name, attempt, reason):
                    self._context.emit(NotebookRetried(name, self._context.clock(), attempt, reason))
                case schedule.Skip(name, reason):
                    self._finish(Outcome(name, None, "skipped", reason=reason))
                case schedule.WantSlots(count):
                    if self._tokens is not None:
                        self._tokens.want(count)
                case schedule.GiveBack(count):
                    if self._tokens is not None:
                        self._tokens.give_back(count)
                case schedule.AllDone():
                    self._done = True
                case _:
                    assert_never(command)

    def _start(self, name: str, attempt: int, worker: int, tasks: asyncio.TaskGroup) -> None:
        self._released.discard(name)
        self._attempts[name] = Attempt(worker, attempt)
        self._context.emit(NotebookStarted(name, self._context.clock(), worker, attempt))
        task = self._tasks[name] = tasks.create_task(self._attempt(name), name=f"render {name}")
        # A task that is cancelled before its first step runs no line of its own: its end is told from here.
        task.add_done_callback(lambda _: self._on_task_done(name))

    def _on_task_done(self, name: str) -> None:
        self._context.results.conflicts.ended(name)
        outcome = self._results.pop(name, None) or Outcome(name, None, "skipped", reason=INTERRUPTED)
        self._queue.put_nowait(_Ended(name, outcome))

    async def _attempt(self, name: str) -> None:
        """One attempt, from start to result."""
        item, attempt = self._items[name], self._attempts[name]
        outcome = Outcome(name, None, "skipped", reason=item.missing or INTERRUPTED)
        rendering: Rendering | None = None
        try:
            if not item.missing:
                rendering = Rendering(self._context, item, attempt, lambda early: self._release(name, early))
                self._renderings[name] = rendering
                outcome = await rendering.run()
        except asyncio.CancelledError:
            if rendering is not None and rendering.placed is not None:
                outcome = rendering.placed  # only its kernel had not ended yet
            raise
        except Exception as error:  # noqa: BLE001 - the boundary between one notebook and the next
            outcome = unwritten(Outcome(name, None, "failed", worker=attempt.worker), unexpected(error))
        finally:
            self._results[name] = outcome

    def _release(self, name: str, outcome: Outcome) -> None:
        """Tell the schedule that the slot is free although the attempt is not quite over."""
        if outcome.status != "died":
            self._released.add(name)
            self._queue.put_nowait(schedule.Finished(name, ok=outcome.status in GOOD))

    def _on_ended(self, ended: _Ended, tasks: asyncio.TaskGroup) -> None:
        name, outcome = ended.id, ended.outcome
        del self._tasks[name]
        self._renderings.pop(name, None)
        attempt = self._attempts.pop(name)
        outcome = replace(outcome, peak_memory=outcome.peak_memory or attempt.peak_memory)
        commands: list[schedule.Command] = []
        if name not in self._released:
            ok, died = outcome.status in GOOD, outcome.status == "died"
            event = schedule.Finished(name, ok=ok, died=died, reason=outcome.reason)
            commands = self._schedule.handle(event, self._context.clock())
        # A notebook that is tried again is not finished.
        if not any(isinstance(each, schedule.Retry) and each.id == name for each in commands):
            self._finish(outcome)
        self._perform(commands, tasks)

    def _finish(self, outcome: Outcome) -> None:
        if (prelaunch := self._context.launching.prelaunch) is not None:
            prelaunch.settled(outcome.source)
        self._outcomes[outcome.source] = outcome
        self._context.emit(NotebookFinished(self._context.clock(), outcome))

    def _sample(self) -> None:
        """Look at the memory of every running kernel and of the machine."""
        now = self._context.clock()
        for name, attempt in self._attempts.items():
            memory = None if attempt.kernel is None else attempt.kernel.process.memory()
            if memory:
                attempt.peak_memory = max(memory, attempt.peak_memory or 0)
                self._context.emit(MemorySampled(name, now, memory))
        if (free := available_memory()) is not None:
            self._queue.put_nowait(schedule.MemoryAvailable(free))
