"""Whether all that a kernel published has arrived: ZeroMQ's publishers drop what they cannot send in time.

A kernel of ipykernel's application class is started so that its publisher drops nothing. Of others, and of
those that another program started, two things can be held against what arrived:

- **numbers**: see :mod:`moorage.kernel.message_numbers`;
- **counts**: xeus-python is asked how many characters and displays it has published.

A publisher drops only what exceeds a thousand waiting messages, and those thousand arrive: after fewer
messages nothing is asked.

Source: ZMQ_SNDHWM in zmq_setsockopt(3).
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

    async def begin(self, client: Asking) -> None:
        """Take note that the next request runs code: what others made the kernel publish before is theirs.

        Args:
            client: the request is about to be sent on it.

        Raises:
            KernelDied: the kernel's process ended meanwhile. Cancelling is safe.
        """
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


class Counts:
    """For kernels that can be asked what they have published."""

    def __init__(self, question: str, *, shared: bool = False) -> None:
        """Describe the kernel.

        Args:
            question: an expression whose value is a pair: characters and displays published so far.
            shared: it has published before it was listened to, and does so for other clients: it is asked
                before each request, too, unless it turns out that it does not count.
        """
        self._question = execute_request(
            "", silent=True, store_history=False, user_expressions={"published": question}
        )
        self._shared = shared
        self.forget()

    def forget(self) -> None:
        """Begin at zero."""
        self._heard = self._characters = self._displays = self._known = 0
        self._before = (0, 0)  # how much more had been published than had arrived when the request began
        self._counts = True

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

    async def begin(self, client: Asking) -> None:
        """Ask where other clients may have made it publish.

        The answer is waited for: xeus-python may overlook what comes while it answers.
        """
        if not self._shared or not self._counts:
            return
        arrived = (0, 0)

        def mark(message: Message) -> None:
            nonlocal arrived
            if message.msg_type == "status":  # its idle comes behind all that it counts
                arrived = (self._characters, self._displays)

        told = _answer(await client.request("shell", self._question, mark).done)
        self._counts, self._known = told is not None, 0
        if told is not None:
            self._before = (told[0] - arrived[0], told[1] - arrived[1])

    async def missing(self, client: Asking) -> int:
        """Ask the kernel, and return how many characters and displays are missing."""
        heard, self._heard = self._heard, 0
        if heard < MANY or not self._counts:
            return 0
        told = _answer(await client.request("shell", self._question).done)
        if told is None:
            return 0
        characters = told[0] - self._characters - self._before[0]
        gap = max(0, characters) + max(0, told[1] - self._displays - self._before[1])
        new, self._known = gap - self._known, gap
        return max(0, new)


def _answer(reply: Message) -> tuple[int, int] | None:
    """Read what the question gave; None where the kernel does not count."""
    expressions = reply.content.get("user_expressions")
    return _pair(expressions.get("published")) if isinstance(expressions, Mapping) else None


def _pair(answer: Any) -> tuple[int, int] | None:
    """Read the value of the question; None where the kernel's user has put something else in its place."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    text = data.get("text/plain") if isinstance(data, Mapping) else None
    found = re.fullmatch(r"\((\d{1,15}), (\d{1,15})\)", text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None
