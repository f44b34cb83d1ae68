"""What the warden has told about one launch, and how to wait for more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from moorage.errors import WardenLost
from moorage.process.base import ExitStatus, ProcessId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class ChildPending(msgspec.Struct, frozen=True):
    """The warden has not answered yet."""


class ChildRefused(msgspec.Struct, frozen=True):
    """It could not be started: ``stage`` failed with errno ``number``."""

    stage: str
    number: int


class ChildRunning(msgspec.Struct, frozen=True):
    """It lives, as ``pid``."""

    pid: int


class ChildEnded(msgspec.Struct, frozen=True):
    """It was ``pid`` and has ended."""

    pid: int
    status: ExitStatus


State = ChildPending | ChildRefused | ChildRunning | ChildEnded


class ChildLaunch:
    """What the warden has told about one launch.

    Attributes:
        id: its name.
        state: how far it has come.
        gone: True when nothing of it or of what it started is left.
        lost: why nothing more will ever be known, or an empty string.
        lasting: it is a template: it may outlive the block that needed it.
    """

    def __init__(self, name: ProcessId, on_exit: Callable[[], None]) -> None:
        self.id = name
        self.state: State = ChildPending()
        self.gone = False
        self.lost = ""
        self.lasting = False
        self._on_exit = on_exit
        self._change = asyncio.Event()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until ``true()``; it is asked whenever something was told.

        Raises:
            WardenLost: that will never be.
        """
        while not true():
            if self.lost:
                raise WardenLost("the process was ended together with its warden", why=self.lost)
            await self._change.wait()

    def told(self, message: dict[str, Any]) -> None:
        """Take in one packet of the warden's."""
        match message["tell"]:
            case "started":
                self.state = ChildRunning(message["pid"])
            case "failed":
                self.state = ChildRefused(message["stage"], message["errno"])
            case "exited" if isinstance(self.state, ChildRunning):
                status = ExitStatus(message["code"], message["signal"], message["oom"], message["maxrss"])
                self.state = ChildEnded(self.state.pid, status)
                self._on_exit()
            case "gone":
                self.gone = True
        self._wake()

    def lose(self, why: str) -> None:
        """The warden is gone."""
        self.lost = why
        self._on_exit()
        self._wake()

    def _wake(self) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()


async def outlast(
    waiting: Callable[[], Awaitable[object]], seconds: float
) -> tuple[bool, asyncio.CancelledError | None]:
    """Await something to its end even if the task is cancelled meanwhile.

    Args:
        waiting: makes the awaitable; called again after a cancellation.
        seconds: when to give up.

    Returns:
        whether it came to its end, and the cancellation to raise when everything is tidy.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    cancelled = None
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                await waiting()
        except TimeoutError:
            return False, cancelled
        except asyncio.CancelledError as error:
            cancelled = error
        else:
            return True, cancelled
