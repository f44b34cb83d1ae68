"""Whether a kernel hears and is heard: proven, never guessed by a wait of fixed length."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from moorage.kernel.request import Receiver, Request, give_up_idle
from moorage.tasks import result_of
from moorage.wire.messages import Channel

# When a kernel that does not answer is asked once more (s), doubling up to the second; the first one later.
_ASK_AGAIN, _ASK_AGAIN_MOST, _ASK_FIRST_AGAIN = 1.0, 10.0, 5.0


class Readiness:
    """Asks a kernel until it has answered and its broadcasts arrive.

    The proof is ``iopub_welcome`` (JEP 65), or a status caused by one of our own requests. Where a reply came
    without either, the subscription was late: the kernel is asked again, at growing intervals.
    """

    def __init__(self, ask: Callable[[Channel, Receiver], Request]) -> None:
        """Begin with nothing proven.

        Args:
            ask: sends a ``kernel_info_request``, given the channel and what takes its iopub messages.
        """
        self._ask = ask
        self._welcomed = asyncio.Event()
        self._answered = False

    def welcome(self) -> None:
        """Take note of an ``iopub_welcome``."""
        self._welcomed.set()

    async def proven(self, channel: Channel) -> dict[str, Any]:
        """Wait for the proof, of the process that is there now.

        Returns:
            The content of the kernel's ``kernel_info_reply``. Cancelling is safe.
        """
        # A new one: what was true of the process before a restart proves nothing.
        heard = self._welcomed = asyncio.Event()
        ask_again, patience = _ASK_AGAIN if self._answered else _ASK_FIRST_AGAIN, 0.02
        questions: list[Request] = []
        while True:
            asked = self._ask(channel, lambda _: heard.set())
            questions.append(asked)
            try:
                async with asyncio.timeout(ask_again):
                    info = (await result_of(asked.reply)).content  # late, it still ends the request
            except TimeoutError:
                ask_again = min(2 * ask_again, _ASK_AGAIN_MOST)
                continue
            try:
                async with asyncio.timeout(patience):
                    await heard.wait()
            except TimeoutError:
                patience = min(2 * patience, 1.0)
                continue
            for question in questions:
                give_up_idle(question)
            self._answered = True
            return info
