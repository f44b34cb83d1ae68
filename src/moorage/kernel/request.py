"""One request under way: its two halves, the reply and the idle, as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

from moorage.wire import messages
from moorage.wire.messages import Channel, Message

Receiver = Callable[[Message], None]
InputProvider = Callable[[str, bool], str | None]

LOST = "moorage: the kernel published faster than it could send, and dropped some of this output\n"
"""Told on stderr of an execution whose end got lost, as what was published just before it may be."""


class Asking(Protocol):
    """What those need of a client that ask a kernel between two requests of its user."""

    def request(
        self, channel: Channel, request: messages.Request, receive: Receiver | None = None
    ) -> Request:
        """Send a request; see :meth:`moorage.kernel.client.Client.request`."""
        ...

    async def flush(self, receive: Receiver | None = None) -> None:
        """Wait until everything the kernel has published so far has arrived."""
        ...

    def listen(self, receive: Receiver) -> Callable[[], None]:
        """Call ``receive`` with every iopub message; returns what ends that."""
        ...


class Request:
    """One request under way.

    Attributes:
        message: what was sent.
        reply: resolves with the reply.
        done: resolves when reply and idle have both arrived.
        replied: when the reply came, as ``time.monotonic()`` tells it.
        lost: whether the kernel dropped the idle, and with it what it had published just before.
    """

    def __init__(self, message: Message, receive: Receiver | None, stdin: InputProvider | None) -> None:
        loop = asyncio.get_running_loop()
        self.message = message
        self.receive = receive
        self.stdin = stdin
        self.reply: asyncio.Future[Message] = loop.create_future()
        self.done: asyncio.Future[Message] = loop.create_future()
        self._idle = False
        self.replied = 0.0
        self.lost = False
        self._flushes = False

    def settle(self, *, idle: bool = False) -> None:
        """Finish when both halves are there; ``idle``: that half is, from now on."""
        self._idle |= idle
        if self._idle and finished(self.reply) and not self.done.done():
            self.done.set_result(self.reply.result())

    def miss_idle(self) -> None:
        """Finish without the idle, which was lost; where a receiver is there, say so."""
        if self.done.done() or self._idle:
            return
        self._idle = self.lost = True
        if self.receive is not None and self.message.msg_type == "execute_request":
            try:
                self.receive(lost_note(self.message))
            except Exception as error:  # noqa: BLE001 - the caller's own code: raised where it is awaited
                self.fail(error)
        self.settle()

    @property
    def lacks_reply(self) -> bool:
        """Whether code or a flush has come to its end, as its idle says, and its reply has not come."""
        expects = self._flushes or self.message.msg_type == "execute_request"
        return self._idle and expects and not self.reply.done()

    def miss_reply(self) -> None:
        """Finish without the reply, which was lost: with one that says so."""
        if self.lacks_reply:
            kind = self.message.msg_type.replace("_request", "_reply")
            header = msgspec.structs.replace(self.message.header, msg_type=kind)
            why = "the kernel dropped its reply, as ipykernel does when it is interrupted while it answers"
            content = {"status": "error", "ename": "ReplyLost", "evalue": why, "traceback": []}
            self.reply.set_result(Message("shell", header, content=content))
            self.settle()

    def fail(self, error: BaseException) -> None:
        """End every wait with ``error``."""
        for future in (self.reply, self.done):
            if not future.done():
                future.set_exception(error)
                future.exception()  # retrieved: a request that is not awaited is no leak worth a warning


def give_up_idle(request: Request) -> None:
    """Let nothing wait for an idle that was published before the subscription was heard."""
    if finished(request.reply):
        request.done.cancel()


def only_flushes(request: Request) -> None:
    """Let a request end without its reply, too: it was sent for its end alone, which its idle tells."""
    request._flushes = True  # noqa: SLF001 - its own module; a name that only a flush needs is none of the class


def lost_note(request: Message) -> Message:
    """Return what tells on stderr that output of a request was dropped."""
    header = msgspec.structs.replace(request.header, msg_type="stream")
    return Message("iopub", header, content={"name": "stderr", "text": LOST})


def finished(future: asyncio.Future[Message]) -> bool:
    """Tell whether a future has its message: it was neither failed nor cancelled by what waited."""
    return future.done() and not future.cancelled() and future.exception() is None
