"""The websocket of a notebook to its kernel."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp

from moorage.json_types import JsonObject
from moorage.load.browser import Browser
from moorage.load.channels import PROTOCOL, Spoken, read_frame, request
from moorage.load.document import RanCell
from moorage.load.steps import StepFailed
from moorage.tasks import beside

_EXECUTE = {
    "silent": False,
    "store_history": True,
    "user_expressions": {},
    "allow_stdin": True,
    "stop_on_error": True,
}


class _Waiting:
    """A request whose answer is waited for: its reply, and the kernel's word that it is done."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reply: Spoken | None = None
        self.idle = False
        self.printed = ""

    def hear(self, spoken: Spoken) -> None:
        if spoken.channel == "shell":
            self.reply = spoken
        elif spoken.kind == "stream":
            self.printed += str(spoken.content.get("text", ""))
        elif spoken.kind == "status":
            self.idle = spoken.content.get("execution_state") == "idle"
        if self.reply is not None and self.idle and not self.done.done():
            self.done.set_result(None)


class KernelChannel:
    """Speaks with one kernel; made by :func:`open_channel`."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self._websocket = websocket
        self._session = uuid.uuid4().hex
        self._waiting: dict[str, _Waiting] = {}
        self._closed: StepFailed | None = None

    @property
    def closed(self) -> StepFailed | None:
        """Why nothing is heard any more; None as long as the websocket is open."""
        return self._closed

    async def greet(self) -> None:
        """Wait until the kernel has said what it is.

        Raises:
            StepFailed: the websocket was closed before.
        """
        await self._asked("kernel_info_request", {})

    async def run(self, cell: RanCell) -> None:
        """Run a cell and wait for its result.

        Raises:
            StepFailed: it ended otherwise than it has to, or the websocket was closed before.
        """
        heard = await self._asked("execute_request", {"code": cell.source, **_EXECUTE})
        content = {} if heard.reply is None else heard.reply.content
        if content.get("status") != "ok":
            raise StepFailed(f"The cell failed: {content.get('ename')}: {content.get('evalue')}")
        if heard.printed.strip() != cell.printed:
            raise StepFailed("What the cell printed did not come, or came otherwise")

    async def _asked(self, kind: str, content: JsonObject) -> _Waiting:
        if self._closed is not None:
            raise self._closed
        name, waiting = uuid.uuid4().hex, _Waiting()
        self._waiting[name] = waiting
        date = datetime.now(UTC).isoformat()
        frame = request("shell", kind, content, name=name, session=self._session, date=date)
        try:
            await self._websocket.send_bytes(frame)
            await waiting.done
        except (aiohttp.ClientError, OSError) as error:
            raise StepFailed(f"The websocket was closed: {error}") from None
        finally:
            del self._waiting[name]
        return waiting

    async def listen(self) -> None:
        """Hand what the kernel says to the requests that wait for it, until the websocket is closed."""
        failed = None
        async for message in self._websocket:
            if message.type is aiohttp.WSMsgType.BINARY:
                try:
                    spoken = read_frame(message.data)
                except StepFailed as error:
                    failed = error
                    break
                if (waiting := self._waiting.get(spoken.parent)) is not None:
                    waiting.hear(spoken)
        self._closed = failed or StepFailed(
            f"The websocket was closed with code {self._websocket.close_code}"
        )
        for waiting in self._waiting.values():
            if not waiting.done.done():
                waiting.done.set_exception(self._closed)


@asynccontextmanager
async def open_channel(browser: Browser, path: str) -> AsyncIterator[KernelChannel]:
    """Open a websocket to a kernel; leaving the block closes it.

    Args:
        browser: whose it is.
        path: of its URL, without a query.

    Raises:
        StepFailed: it cannot be opened.
    """
    async with browser.websocket(f"{path}?session_id={uuid.uuid4()}", [PROTOCOL]) as websocket:
        channel = KernelChannel(websocket)
        async with beside(channel.listen(), name="listen to a kernel"):
            yield channel
