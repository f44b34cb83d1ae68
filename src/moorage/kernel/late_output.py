"""Output that trails: what a kernel publishes of a cell after it has answered.

For kernels that carry what a program prints to iopub by a way of its own, such as a pipe they read: neither
idle nor another request's idle says that nothing is under way there (deno had sent 256 of 3000 lines when it
said idle). Nothing in the protocol does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import msgspec
from msgspec import Struct

from moorage.kernel.request import Asking, Receiver
from moorage.wire import messages
from moorage.wire.messages import Message

# A kernel that has printed nothing for so long (s) will not print its mark either: a notebook may have put
# something else in the place of what prints.
_NO_MARK = 1.0
_NO_OUTPUT = frozenset({"status", "iopub_welcome"})

_Shown = Callable[[float], Awaitable[bool]]


class LateOutput(Struct, frozen=True):
    """How the end of a kernel's output is found.

    Attributes:
        mark: code that prints ``{}`` behind all that was printed before, or empty where there is none: then
            the kernel must have been quiet for a while.
        quiet: seconds without output that count as the end; more where the kernel answers slowly.
        most: seconds after which the wait ends even though output keeps coming.
    """

    mark: str = ""
    quiet: float = 0.1
    most: float = 10.0

    async def end(self, client: Asking, receive: Receiver) -> None:
        """Wait until the kernel has published what it still had of the request before.

        Args:
            client: nothing else may be under way on it.
            receive: called with what is published in the name of the requests this makes: deno gives
                output to the last request.

        Raises:
            KernelDied: the kernel's process ended meanwhile. Cancelling is safe.
        """
        last = monotonic() + self.most
        with _listening(client) as shown:
            if self.mark and await self._marked(client, receive, last, shown):
                return
            while (began := monotonic()) < last:
                await client.flush(receive)
                # A busy machine delays the pipe as it delays the answer.
                if not await shown(max(self.quiet, 4 * (monotonic() - began))):
                    return

    async def _marked(self, client: Asking, receive: Receiver, last: float, shown: _Shown) -> bool:
        """Print a mark and wait for it; False when it does not come."""
        token = f"[{secrets.token_hex(8)}]"
        seen = asyncio.Event()

        def take(message: Message) -> None:
            text = str(message.content.get("text", ""))
            if token not in text:
                receive(message)
                return
            seen.set()
            if rest := text.replace(f"{token}\n", ""):
                receive(msgspec.structs.replace(message, content={**message.content, "text": rest}))

        code = messages.execute_request(self.mark.replace("{}", token), silent=True, store_history=False)
        reply = await client.request("shell", code, take).done
        while reply.content.get("status") == "ok" and not seen.is_set() and monotonic() < last:
            if not await shown(_NO_MARK):
                break
        return seen.is_set()


@contextmanager
def _listening(client: Asking) -> Iterator[_Shown]:
    """Listen to a client's kernel; yields what waits for output of it, whatever caused that."""
    came = asyncio.Event()

    async def shown(seconds: float) -> bool:
        """Wait for output since this was last asked, no longer than so many seconds; False when none came."""
        try:
            async with asyncio.timeout(seconds):
                return await came.wait()
        except TimeoutError:
            return False
        finally:
            came.clear()

    end = client.listen(lambda message: came.set() if message.msg_type not in _NO_OUTPUT else None)
    try:
        yield shown
    finally:
        end()
