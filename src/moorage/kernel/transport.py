"""What a client speaks to a kernel through: ZeroMQ on this machine; elsewhere another byte stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from moorage.wire.messages import Channel

FrameReceiver = Callable[[Channel, list[bytes]], None]
"""Called with channel and frames of every message, in the loop's thread."""
LineReceiver = Callable[[bool], None]
"""Called when the line is cut (False) or there again (True)."""


class Transport(Protocol):
    """The four message channels of one kernel, as ``async with``; nothing is opened before."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def on_frames(self, receive: FrameReceiver) -> None:
        """Have ``receive`` called with every message; to be called before the transport is entered."""
        ...

    async def drop_unsent(self) -> None:
        """Deliver nothing of what was sent and has not arrived: another process is about to take the place.

        It returns when nothing of it can arrive any more. Cancelling is safe.
        """
        ...

    def on_line(self, receive: LineReceiver) -> None:
        """Have ``receive`` told of the line; to be called before the transport is entered."""
        ...

    def send(self, channel: Channel, frames: Sequence[bytes | memoryview]) -> None:
        """Queue one message. Never blocks: what cannot be sent yet waits in memory.

        Args:
            channel: where to.
            frames: the message without routing ids.

        Raises:
            ProtocolError: what is at the other end is no kernel.
        """
        ...

    def wake(self) -> None:
        """Wake a kernel that may have missed that a request has come; to one that has not it is nothing.

        Raises:
            MoorageError: no descriptors are left.
        """
        ...

    async def receive_rest(self, seconds: float) -> None:
        """Wait until a kernel that has ended has hung up, and hand over what it said last.

        Args:
            seconds: wait no longer; a child that outlived the kernel may keep the line open.

        Cancelling is safe.
        """
        ...
