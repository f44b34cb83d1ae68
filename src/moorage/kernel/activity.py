"""Whether a kernel runs anything, for any of its clients: what it says of itself on iopub."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage.wire.messages import Message

_UNKNOWN = ""


class Activity:
    """Follows the states a kernel publishes, each request's by itself: shell and control overlap.

    Attributes:
        own_sessions: of the clients whose requests are this process's own.
        told_to_end: whether the kernel has said that a client, of whichever program, asked it to end.
    """

    def __init__(self) -> None:
        self.own_sessions: set[str] = set()
        self.told_to_end = False
        self._under_way: dict[str, bool] = {}  # by request: whether it is one of ours
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def busy(self) -> bool:
        """Whether some request has been begun and, as far as one has heard, not ended."""
        return bool(self._under_way)

    @property
    def busy_for_others(self) -> bool:
        """Whether one of them is another client's."""
        return not all(self._under_way.values())

    async def settled(self) -> None:
        """Wait until nothing is under way for others. Cancelling is safe."""
        await self._settled.wait()

    def begin_unknown(self) -> None:
        """Take note that another client's request is under way: until any of another client has ended."""
        self._under_way[_UNKNOWN] = False
        self._settled.clear()

    def handle(self, message: Message) -> None:
        """Take in an iopub message."""
        if message.msg_type == "shutdown_reply":
            self.told_to_end = not message.content.get("restart")
        if message.msg_type != "status":
            return
        own = message.parent_header.get("session") in self.own_sessions
        match message.content.get("execution_state"):
            case "busy":
                self._under_way[message.parent_id] = own
            case "idle":
                self._under_way.pop(message.parent_id, None)
                if not own:
                    self._under_way.pop(_UNKNOWN, None)
        self._look()

    def forget(self) -> None:
        """Drop what a process was at that another has replaced."""
        self._under_way.clear()
        self.told_to_end = False
        self._look()

    def _look(self) -> None:
        if self.busy_for_others:
            self._settled.clear()
        else:
            self._settled.set()
