"""Whether all that a kernel published has arrived: ZeroMQ's publishers drop what they cannot send in time.

A kernel of ipykernel's application class is started so that its publisher drops nothing. Of others, two
things can be held against what arrived:

- **numbers**: ``jupyter_client.session.Session`` ends each message id with a number, one higher each time;
- **counts**: xeus-python is asked how many characters and displays it has published.

A publisher drops only what exceeds a thousand waiting messages, and those thousand arrive: after fewer
messages nothing is asked.

Source: ZMQ_SNDHWM in zmq_setsockopt(3); ``Session.msg_id`` in jupyter_client.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from moorage.kernel.request import Asking, Receiver, Request, lost_note
from moorage.wire.messages import Message, execute_request

MANY = 500
"""Messages on iopub, since it was asked last, from which on some may have been dropped."""


class Published(Protocol):
    """Compares what a kernel has published with what arrived."""

    def handle(self, message: Message) -> None:
        """Take in a message of any channel."""
        ...

    def forget(self) -> None:
        """Begin anew: the kernel's process has been replaced."""
        ...

    async def missing(self, client: Asking) -> int:
        """Return how much has not arrived of what was published since this was last asked.

        Args:
            client: nothing else may be under way on it.

        Returns:
            Messages, or characters and displays; 0 as well where the kernel cannot tell.

        Raises:
            KernelDied: the kernel's process ended meanwhile. Cancelling is safe.
        """
        ...


async def lost(
    client: Asking, published: Published | None, request: Request, tell: Receiver | None = None
) -> bool:
    """Tell whether the kernel dropped output of a request that is done.

    Args:
        client: the request's; nothing else may be under way on it.
        published: compares what the kernel has published with what arrived; None where nothing does.
        request: the newest one.
        tell: called with a line for stderr that says so, unless the request has told it already.

    Raises:
        KernelDied: the kernel's process ended meanwhile. Cancelling is safe.
    """
    missing = 0 if published is None else await published.missing(client)
    if missing and not request.lost and tell is not None:
        tell(lost_note(request.message))
    return request.lost or missing > 0


class Numbers:
    """For kernels that number their messages; of others nothing is ever found missing."""

    def __init__(self) -> None:
        self._heard = 0
        self.forget()

    def forget(self) -> None:
        """Begin with the next message."""
        self._sender = ""
        self._first = self._last = -1
        self._seen = 0

    def handle(self, message: Message) -> None:
        """Count a message, and note the highest number of its sender."""
        self._heard += message.channel == "iopub"
        sender, _, digits = message.header.msg_id.rpartition("_")
        # The number of digits is bounded: what comes from a kernel may be anything.
        if not sender or not digits.isdecimal() or len(digits) > 15:
            return
        if sender != self._sender:
            if self._sender and message.msg_type != "status":
                return  # a child process has a sender of its own
            self._sender, self._first, self._last, self._seen = sender, int(digits), -1, 0
        self._last = max(self._last, int(digits))
        self._seen += 1

    async def missing(self, client: Asking) -> int:
        """Return how many numbers lack their message."""
        heard, self._heard = self._heard, 0
        if heard >= MANY and self._count():
            await client.flush()  # on another channel one may still be on its way
        gap = self._count() if heard >= MANY else 0
        if self._sender:
            self._first, self._seen = self._last + 1, 0
        return gap

    def _count(self) -> int:
        return max(0, self._last - self._first + 1 - self._seen) if self._sender else 0


class Counts:
    """For kernels that can be asked what they have published."""

    def __init__(self, question: str) -> None:
        """Describe the kernel.

        Args:
            question: an expression whose value is a pair: characters and displays published so far.
        """
        self._question = question
        self.forget()

    def forget(self) -> None:
        """Begin at zero."""
        self._heard = self._characters = self._displays = self._known = 0

    def handle(self, message: Message) -> None:
        """Count what is shown."""
        if message.channel != "iopub":
            return
        self._heard += 1
        if message.msg_type == "stream":
            text = message.content.get("text")
            self._characters += len(text) if isinstance(text, str) else 0
        elif message.msg_type in {"display_data", "update_display_data"}:
            self._displays += 1

    async def missing(self, client: Asking) -> int:
        """Ask the kernel, and return how many characters and displays are missing."""
        heard, self._heard = self._heard, 0
        if heard < MANY:
            return 0
        question = execute_request(
            "", silent=True, store_history=False, user_expressions={"published": self._question}
        )
        reply = await client.request("shell", question).done
        told = _pair((reply.content.get("user_expressions") or {}).get("published"))
        if told is None:
            return 0
        gap = max(0, told[0] - self._characters) + max(0, told[1] - self._displays)
        new, self._known = gap - self._known, gap
        return max(0, new)


def _pair(answer: Any) -> tuple[int, int] | None:
    """Read the value of the question; None where the kernel's user has put something else in its place."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    text = data.get("text/plain") if isinstance(data, Mapping) else None
    found = re.fullmatch(r"\((\d{1,15}), (\d{1,15})\)", text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None
