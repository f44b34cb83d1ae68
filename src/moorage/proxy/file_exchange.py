"""One request for a shared file, and its response: no server is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate

from moorage.plan.file_answers import FileAnswer, FileWishes, answer_with, file_wishes
from moorage.plan.proxying import PrefixRoute
from moorage.proxy.core import ProxyCore
from moorage.proxy.exchange import VisitorSide
from moorage.proxy.shared_files import FoundFile, HeldFile, SharedFiles
from moorage.wire.http import RequestHead

PIECE = 128 * 1024
"""So much is given to a connection at once: what a slow visitor has not taken stays where all share it."""


class FileExchange:
    """One request, complete, and its response.

    Args:
        core: what all connections share.
        visitor: where the request came from.
        transport: of that connection.
        request: the head.
        route: that it would have taken.
        otherwise: sends the request to the server after all, in the place of this.
    """

    __slots__ = (
        "_answer", "_at", "_core", "_data", "_full", "_loading", "_otherwise", "_request", "_route",
        "_visitor", "body", "responding", "transport",
    )  # fmt: skip

    def __init__(
        self,
        core: ProxyCore,
        visitor: VisitorSide,
        transport: asyncio.Transport,
        request: RequestHead,
        route: PrefixRoute,
        otherwise: Callable[[], None],
    ) -> None:
        self._core, self._visitor, self.transport = core, visitor, transport
        self._request, self._route, self._otherwise = request, route, otherwise
        self.body = None  # the request is complete
        self.responding = False
        self._full = False
        self._loading: asyncio.Task[None] | None = None
        self._answer: FileAnswer | None = None
        self._data = memoryview(b"")
        self._at = 0

    # What the visitor's connection calls.

    def start(self, files: SharedFiles, file: FoundFile) -> None:
        """Answer from memory, or once the file is there."""
        self._visitor.deadline = 0.0
        wishes = file_wishes(self._request)
        held = files.held(file, zipped=wishes.zipped)
        if held is None:
            self._loading = self._core.begin(self._load(files, file, wishes))
        else:
            self._respond(held, wishes)

    def visitor_full(self, full: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """Send no more, or go on, as the visitor takes what is sent."""
        self._full = full
        if not full and self._answer is not None:
            self._go_on(self._answer)

    def abandon(self) -> None:
        """End what is under way, without an answer."""
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None

    def fail(self, status: int) -> None:  # noqa: ARG002 - no deadline runs while the file is read
        """End the connection."""
        self.abandon()
        self.transport.abort()

    # Its own steps.

    async def _load(self, files: SharedFiles, file: FoundFile, wishes: FileWishes) -> None:
        try:
            held = await files.load(file, zipped=wishes.zipped)
        except OSError:
            self._loading = None
            self._otherwise()
            return
        self._loading = None
        self._respond(held, wishes)

    def _respond(self, held: HeldFile, wishes: FileWishes) -> None:
        date = formatdate(time.time(), usegmt=True).encode()
        answer = self._answer = answer_with(self._request, wishes, held.facts, date)
        self._core.counts["shared", answer.status] += 1
        if answer.status < 300:
            self._route.answered(time.time())
        self.responding = True
        self._data, self._at = memoryview(held.data), answer.start
        end = min(answer.end, self._at + PIECE)
        admission, head = self._route.admission, answer.head
        if admission is not None and admission.pages is not None:
            head = admission.pages.shared_answer(head, self._request.fields)
        self.transport.write(head + held.data[self._at : end])
        self._at = end
        self._go_on(answer)

    def _go_on(self, answer: FileAnswer) -> None:
        while self._at < answer.end and not self._full:
            start, self._at = self._at, min(answer.end, self._at + PIECE)
            self.transport.write(self._data[start : self._at])
        if self._at == answer.end:
            self._answer = None
            self._visitor.finished(keep=self._request.persistent)
