"""A visitor's browser: its cookies, its connections, and what it makes of answers."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from moorage.json_types import JsonObject
from moorage.load.entrance import Heard
from moorage.load.steps import StepFailed
from moorage.tasks import together

AT_ONCE = 6
"""Requests that a browser has under way to one host."""
_PLAIN = {"Accept-Encoding": "identity"}
_PACKED = {"Accept-Encoding": "gzip"}
_TEXT = 200
"""Characters of an answer that are kept with an error."""


class Browser:
    """Asks as a browser does; made by :func:`open_browser`.

    What it asks for are paths of the host that it came to first, or addresses ``//HOST:PORT/PATH``; each host
    gets the cookies that it has set. Each method raises StepFailed where the connection or the answer is no
    good. Cancelling ends the request.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = URL(url)
        self._slots: defaultdict[URL, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))

    async def visit(self, path: str, form: Mapping[str, str] | None = None) -> Heard:
        """Ask for a page, or send a form, and return the answer whatever it is."""
        method = "GET" if form is None else "POST"
        async with self._asked(method, path, data=form, headers=_PLAIN) as answer:
            fields = answer.headers
            text = await answer.text(errors="replace")
        return Heard(answer.status, fields.get("Location", ""), text, fields.get("Retry-After", ""))

    async def ask(self, method: str, path: str, document: object = None) -> JsonObject:
        """Send a request of Jupyter's REST API and return the object that answers."""
        async with self._asked(method, path, json=document, headers=_PLAIN) as answer:
            await _checked(answer)
            found = await answer.json(content_type=None) if answer.status != HTTPStatus.NO_CONTENT else {}
        return found if isinstance(found, dict) else {}

    async def load(self, paths: Iterable[str]) -> None:
        """Load files, a few at once, and drop what is in them."""
        await together(*map(self._load, paths))

    async def _load(self, path: str) -> None:
        async with self._asked("GET", path, headers=_PACKED) as answer:
            await _checked(answer)
            async for _ in answer.content.iter_any():
                pass

    @asynccontextmanager
    async def websocket(
        self, path: str, protocols: Iterable[str] = ()
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a websocket; leaving the block closes it.

        Raises:
            StepFailed: it cannot be opened.
        """
        try:
            url = self._at(path)
            opened = await self._session.ws_connect(
                url, protocols=[*protocols], origin=str(url.origin()), max_msg_size=0
            )
        except aiohttp.WSServerHandshakeError as error:
            raise StepFailed("The websocket was refused", error.status) from None
        except (aiohttp.ClientError, OSError) as error:
            raise StepFailed(_said(error)) from None
        try:
            yield opened
        finally:
            await opened.close()

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        data: Mapping[str, str] | None = None,
        json: object = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self._at(path)
        fields = dict(headers)
        if method != "GET":
            fields["Origin"] = str(url.origin())  # pages ask at their own host alone
            if (token := self._session.cookie_jar.filter_cookies(url).get("_xsrf")) is not None:
                fields["X-XSRFToken"] = token.value
        try:
            async with (
                self._slots[url.origin()],
                self._session.request(
                    method, url, data=data, json=json, headers=fields, allow_redirects=False
                ) as answer,
            ):
                yield answer
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise StepFailed(_said(error)) from None

    def _at(self, path: str) -> URL:
        return self._url.join(URL(path, encoded=True))


@asynccontextmanager
async def open_browser(url: str) -> AsyncIterator[Browser]:
    """Open a browser without cookies; leaving the block closes all its connections.

    Args:
        url: of a page of the host that it visits.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=_BrowserNames()),
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # of addresses, too
        timeout=aiohttp.ClientTimeout(total=None),  # steps have a deadline
        auto_decompress=False,
        headers={"User-Agent": "moorage temp load"},
    ) as session:
        yield Browser(session, url)


class _BrowserNames(ThreadedResolver):
    """Has all names below ``localhost`` lead to this machine, as browsers do (RFC 6761, 6.3).

    Few systems do so by themselves.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not host.lower().endswith(".localhost"):
            return await super().resolve(host, port, family)
        kinds = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST
            )
            for kind, address in kinds
            if family in {socket.AF_UNSPEC, kind}
        ]


async def _checked(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        text = (await answer.content.read(_TEXT)).decode(errors="replace")
        where = f"{answer.method} {_general(answer.url.path)}"
        raise StepFailed(
            f"{where}: {answer.reason}. {text if text.isprintable() else ''}".strip(), answer.status
        )


def _general(path: str) -> str:
    """Return a path without what differs from visitor to visitor, so that equal errors are counted as one."""
    parts = path.split("/")
    if parts[1:2] == ["user"]:
        parts = ["", *parts[3:]]
    return "/".join("ID" if len(part) >= 32 and part.count("-") == 4 else part for part in parts)


def _said(error: Exception) -> str:
    """Return what went wrong with a connection."""
    text = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
