"""Processes on this machine, started and owned by a warden."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from moorage.errors import LaunchError, WardenLost
from moorage.process.base import local
from moorage.process.capture import Capture
from moorage.process.explain import explain
from moorage.process.ipykernel_patches.arguments import unbounded
from moorage.process.shadow import check_shadow
from moorage.process.template.client import Template, has_templates, template_for
from moorage.process.warden.client import Warden
from moorage.process.warden.joined import JoinedWarden
from moorage.process.warden.launched import (
    ChildEnded,
    ChildLaunch,
    ChildPending,
    ChildRefused,
    ChildRunning,
    outlast,
)
from moorage.process.warden.shared import shared_warden

if sys.platform == "linux":
    from moorage.process import procfs, standstill

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from moorage.process.base import ExitStatus, Fork, LaunchSpec, LocalSpec, ProcessId

__all__ = ["LocalHandle", "LocalLauncher", "Warden", "shared_warden"]

_log = logging.getLogger("moorage.launch")

GONE = 30.0
"""Seconds that leaving a block waits for a killed family; only an uninterruptible sleep takes that long."""


class LocalHandle:
    """One process of a :class:`LocalLauncher`.

    Attributes:
        not_forked: why it was spawned and not forked from a template; empty where it was forked.
        start_reads: environment variables that its interpreter's start-up code reads; None if unknown.
    """

    def __init__(
        self, warden: Warden, launched: ChildLaunch, pid: int, capture: Capture, file: str = ""
    ) -> None:
        self.not_forked = ""
        self._file = file
        self.start_reads: frozenset[str] | None = None
        self._warden = warden
        self._launched = launched
        self._pid = pid
        self._capture = capture

    @property
    def forked(self) -> bool:
        """Whether it was forked from a template, and not spawned."""
        return not self.not_forked

    @property
    def id(self) -> ProcessId:
        """Name of this launch, also in the environment of all its descendants as MOORAGE_LAUNCH."""
        return self._launched.id

    @property
    def pid(self) -> int:
        """Process id; it leads its own session and process group."""
        return self._pid

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, or None while it lives."""
        state = self._launched.state
        return state.status if isinstance(state, ChildEnded) else None

    async def wait(self) -> ExitStatus:
        """Wait for the end. Any number of tasks may wait; cancelling one disturbs no other.

        Raises:
            WardenLost: the warden was killed, and the process with it.
        """
        while True:
            state = self._launched.state
            if isinstance(state, ChildEnded):
                return state.status
            await self._launched.until(lambda: isinstance(self._launched.state, ChildEnded))

    def send_signal(self, signum: int) -> None:
        """Send a signal to the process and its process group; nothing happens if it has ended."""
        if self.exit_status is None:
            self._warden.signal(self.id, signum)

    async def kill(self) -> ExitStatus:
        """SIGKILL the process and everything it started, and wait until all of it is gone.

        Cancelling stops the waiting, not the killing.

        Raises:
            WardenLost: the warden was killed, and the process with it.
        """
        self._warden.kill(self.id)
        await self._launched.until(lambda: self._launched.gone)
        return await self.wait()

    def output(self) -> str:
        """Return the newest part of stdout and stderr, in order of arrival, decoded with replacement."""
        return self._capture.text()

    def memory(self) -> int | None:
        """Return the resident memory of the process and its descendants now, in bytes; None when it ended."""
        if sys.platform == "linux" and self.exit_status is None:
            return procfs.resident(self._pid)
        return None

    def standstill(self) -> str:
        """Return what holds it still, in words; empty where it runs, or has ended."""
        if sys.platform == "linux" and self.exit_status is None:
            return standstill.look(self._pid, self._file)
        return ""


class LocalLauncher:
    """Starts processes on this machine.

    Args:
        warden: their parent; it must outlive every launch.
        fork: fork what a template can fork: always, never, or from the second one alike on.
    """

    def __init__(self, warden: Warden, *, fork: Fork = False) -> None:
        self._warden = warden
        self._fork = fork

    def anticipate(self, spec: LaunchSpec) -> None:
        """Start the template that a launch will be forked from, should it be the first of this warden's."""
        own = local(spec)
        fork = self._fork if own.fork is None else own.fork
        if fork is not True or has_templates(self._warden):
            return
        try:
            check_shadow(spec)
        except LaunchError:
            return  # it is told when it is launched
        template_for(self._warden, own, fork)

    @asynccontextmanager
    async def launch(self, spec: LaunchSpec) -> AsyncIterator[LocalHandle]:
        """Start ``spec``; leaving the block kills what is left of it and returns when that is gone.

        Cancelling at any point leaves nothing behind.

        Raises:
            LaunchError: the program or the working directory does not exist or cannot be used, or another
                user's file would run.
            WardenLost: the warden is gone.
        """
        check_shadow(spec)
        spec = local(spec)
        capture = Capture(asyncio.get_running_loop(), spec.keep_output)
        try:
            template = template_for(self._warden, spec, self._fork if spec.fork is None else spec.fork)
            launched = None if isinstance(template, str) else await self._forked(spec, capture, template)
            number = _refused(launched)
            forked = launched is not None and number is None
            if launched is None or not forked:
                launched = await self._begin(spec, capture)
            try:
                state = launched.state
                if isinstance(state, ChildRefused):
                    raise explain(spec, state.stage, state.number)
                assert isinstance(state, ChildRunning | ChildEnded)
                file = next((word for word in spec.argv if word.endswith(".json")), "")
                handle = LocalHandle(self._warden, launched, state.pid, capture, file)
                if isinstance(template, str):
                    handle.not_forked = template
                else:
                    handle.not_forked = "" if forked else template.refusal(spec, number or 0)
                    handle.start_reads = frozenset(template.reads) if forked else None
                yield handle
            finally:
                await self._end(launched)
        finally:
            capture.close()

    @asynccontextmanager
    async def resume(self, name: ProcessId) -> AsyncIterator[LocalHandle]:
        """Take over a process that an earlier link of the warden started; leaving the block kills it.

        Args:
            name: of its launch.

        Raises:
            WardenLost: nothing of it is known any more.
        """
        launched = self._warden.found(name) if isinstance(self._warden, JoinedWarden) else None
        if launched is None or not isinstance(launched.state, ChildRunning | ChildEnded):
            raise WardenLost(f"nothing is left of {name}", why="Its warden was killed, or it was ended")
        try:
            handle = LocalHandle(self._warden, launched, launched.state.pid, Capture(None, 0))
            handle.not_forked = "it was taken over"
            yield handle
        finally:
            await self._end(launched)

    async def _begin(self, spec: LocalSpec, capture: Capture) -> ChildLaunch:
        """Start it, and wait until it runs or is refused."""
        launched = self._spawn(spec, capture, None)
        try:
            await launched.until(lambda: not isinstance(launched.state, ChildPending))
        except BaseException:
            await self._end(launched)
            raise
        return launched

    async def _forked(self, spec: LocalSpec, capture: Capture, template: Template) -> ChildLaunch | None:
        """Have it forked, and wait until it runs or is refused; None where its template was silent."""
        launched, births = self._spawn(spec, capture, template), template.births
        try:
            while not await _answered(launched, template.patience):
                if template.births == births:
                    template.give_up()
                    await self._end(launched)
                    return None
                births = template.births
        except BaseException:
            await self._end(launched)
            raise
        template.births += _refused(launched) is None
        return launched

    def _spawn(self, spec: LocalSpec, capture: Capture, template: Template | None) -> ChildLaunch:
        writers: list[int] = []
        try:
            writers += map(_lasting if isinstance(self._warden, JoinedWarden) else capture.open, spec.echo)
            if template is None:
                return self._warden.spawn(unbounded(spec), writers[0], writers[1], capture.drain)
            return template.fork(spec, writers[0], writers[1], capture.drain)
        except OSError as error:
            raise explain(spec, "descriptors", error.errno or 0) from error
        finally:
            for writer in writers:
                os.close(writer)

    async def _end(self, launched: ChildLaunch) -> None:
        if isinstance(launched.state, ChildRefused) or launched.gone or launched.lost:
            return
        try:
            self._warden.kill(launched.id)
            _, cancelled = await outlast(lambda: launched.until(lambda: _over(launched)), GONE)
        except WardenLost:
            return  # then nothing of it is left either
        if not _over(launched):
            _log.warning("%s cannot be killed: a process sleeps uninterruptibly", launched.id)
        if cancelled is not None:
            raise cancelled


def _lasting(echo: int | None) -> int:
    """Return a descriptor for what outlives this process: a pipe of ours would break under its output.

    Raises:
        OSError: no descriptors are left.
    """
    return os.open(os.devnull, os.O_WRONLY) if echo is None else os.dup(echo)


def _refused(launched: ChildLaunch | None) -> int | None:
    """Return the errno of a launch that its template refused, and that is to be spawned; None for others."""
    state = None if launched is None else launched.state
    return state.number if isinstance(state, ChildRefused) and state.stage == "template" else None


async def _answered(launched: ChildLaunch, seconds: float) -> bool:
    """Wait until the warden says what became of a launch; False when it has not in so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await launched.until(lambda: not isinstance(launched.state, ChildPending))
    except TimeoutError:
        return False
    return True


def _over(launched: ChildLaunch) -> bool:
    return launched.gone or isinstance(launched.state, ChildRefused)
