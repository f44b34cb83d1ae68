"""How long a server goes on, for the notice in JupyterLab; and its visitor's files, to take along."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import aclosing
from http import HTTPStatus

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.errors import sentence
from moorage.plan.visits import ServerGone, ServerId, ServerReady, Standing, VisitorId
from moorage.temp.archive import zipped
from moorage.temp.service import Service
from moorage.temp.time_left import TimeLeft

_NOT_KEPT = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Remaining:
    """Answers for one service.

    Args:
        service: whose servers it is about.
        visitor: tells which visitor a request to the pages comes from.
    """

    def __init__(self, service: Service, visitor: Callable[[web.Request], VisitorId | None]) -> None:
        self._service = service
        self._visitor = visitor

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Take over its addresses."""
        router.add_get("/time-left", self._time_left)
        router.add_post("/whole-share", self._whole_share)
        router.add_get("/download", self._download)

    async def _time_left(self, request: web.Request) -> web.Response:
        return self.time_left(self._visitor(request), ServerId(request.query.get("server", "")))

    async def _whole_share(self, request: web.Request) -> web.Response:
        return self.whole_share(self._visitor(request), ServerId(request.query.get("server", "")))

    async def _download(self, request: web.Request) -> web.StreamResponse:
        return await self.download(request, self._visitor(request))

    def time_left(self, visitor: VisitorId | None, server: ServerId) -> web.Response:
        """Return what a page of a server is told; 404 where no visitor is known that has one."""
        has = None if visitor is None else self._service.standing(visitor)
        if has is None:
            return web.json_response(None, status=HTTPStatus.NOT_FOUND, headers=_NOT_KEPT)
        left = self._told(has, server)
        said = {"seconds": left.seconds, "told": left.told, "idle": left.idle, "ended": left.ended}
        memory = self._service.watch.memory_told(server) if left.ended is None else None
        told = None if memory is None else {"kills": memory.kills, "words": sentence(memory.words)}
        brake = self._service.watch.brakes.told(server) if left.ended is None else None
        asks = None if brake is None else {"asked": bool(brake.words), "words": sentence(brake.words)}
        return web.json_response({**said, "memory": told, "brake": asks}, headers=_NOT_KEPT)

    def whole_share(self, visitor: VisitorId | None, server: ServerId) -> web.Response:
        """Have a server go on with its whole share of the processors; 404 for all but its visitor."""
        serving = None if visitor is None else self._service.serving(visitor)
        if serving is None or serving.server != server:
            return web.json_response(None, status=HTTPStatus.NOT_FOUND, headers=_NOT_KEPT)
        self._service.watch.go_on(server)
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=_NOT_KEPT)

    def _told(self, has: Standing, server: ServerId) -> TimeLeft:
        """Return what a page of a server is told, which may be another one than the visitor has now."""
        if isinstance(has, ServerReady) and has.server == server:
            return self._service.watch.time_left(has)
        if isinstance(has, ServerGone) and has.server == server:
            return TimeLeft(ended=has.why)
        return TimeLeft(ended="it is not there any more")

    async def download(
        self, request: web.Request, visitor: VisitorId | None, server: ServerId | None = None
    ) -> web.StreamResponse:
        """Send a visitor's files; lead to the front page where there are none.

        Args:
            request: for them.
            visitor: that asks; None for one that is not known.
            server: whose files are wanted; None for those of the one that the visitor has.
        """
        serving = None if visitor is None else self._service.serving(visitor)
        if serving is None or server not in {None, serving.server}:
            return web.Response(status=HTTPStatus.SEE_OTHER, headers={**_NOT_KEPT, "Location": "/"})
        named = {"Content-Type": "application/zip", "Content-Disposition": 'attachment; filename="files.zip"'}
        answer = web.StreamResponse(headers={**_NOT_KEPT, **named})
        with serving.files() as folder:
            async with aclosing(zipped(folder)) as pieces:
                await answer.prepare(request)
                async for piece in pieces:
                    await answer.write(piece)
        await answer.write_eof()
        return answer
