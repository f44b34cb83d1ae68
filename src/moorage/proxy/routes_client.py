"""Asks the REST API of configurable-http-proxy, or of what speaks it, for routes; adds and deletes them.

https://github.com/jupyterhub/configurable-http-proxy#rest-api
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import aiohttp

from moorage.errors import UsageError
from moorage.plan.external_routes import FoundRoute

PATIENCE = 10.0
"""Seconds that an answer may take."""
TOKEN = "CONFIGPROXY_AUTH_TOKEN"  # noqa: S105 - a name
"""Variable with the token of the API."""
OWNER = "moorage"
"""Key of a route that says which service added it; such proxies keep what they do not know."""
_ROUTES = "/api/routes"


@dataclass(frozen=True)
class ProxyAccess:
    """Where the API of a proxy is.

    Args:
        url: scheme, host and port.
        token: that it asks for; empty for none.
    """

    url: str
    token: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Its host, without the port."""
        return urlsplit(self.url).hostname or ""


def proxy_access(text: str, environ: Mapping[str, str]) -> ProxyAccess:
    """Return where a proxy's API is by what ``--proxy`` and the environment say.

    Raises:
        UsageError: it is no such address.
    """
    why = "It is where the proxy's REST API listens: http://127.0.0.1:8001"
    try:
        parts = urlsplit(text)
        known = parts.port is None or parts.port > 0
    except ValueError:
        raise UsageError(f"--proxy {text} cannot be", why=why) from None
    if parts.username is not None:
        raise UsageError("--proxy has a name or a password in it", why=f"Its token is read from {TOKEN}")
    path = parts.path.rstrip("/").removesuffix(_ROUTES)
    if parts.scheme not in {"http", "https"} or not parts.hostname or path or parts.query or not known:
        raise UsageError(f"--proxy {text} cannot be", why=why)
    return ProxyAccess(f"{parts.scheme}://{parts.netloc}", environ.get(TOKEN, ""))


class RoutesClient:
    """Asks one proxy; made by :func:`open_routes_client`.

    Each method raises UsageError, with what is wrong, where the proxy does not answer or does otherwise than
    such proxies do. Cancelling ends the request, which may have been carried out.
    """

    def __init__(self, session: aiohttp.ClientSession, access: ProxyAccess) -> None:
        self._session = session
        self._access = access

    async def routes(self) -> dict[str, FoundRoute]:
        """Return all routes by path."""
        found = await self._asked("GET", "/", {HTTPStatus.OK})
        if not isinstance(found, dict):
            raise self._strange("GET", "it tells of no routes")
        return {path: _found(route) for path, route in found.items()}

    async def add(self, path: str, target: str, owner: str) -> None:
        """Add a route, in the place of one of the same path.

        Args:
            path: of it.
            target: where it leads.
            owner: of what is added here.
        """
        await self._asked("POST", path, {HTTPStatus.CREATED}, {"target": target, OWNER: owner})

    async def delete(self, path: str) -> None:
        """Delete a route; one that is not there is well."""
        await self._asked("DELETE", path, {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND})

    async def _asked(
        self, method: str, path: str, well: Collection[int], body: Mapping[str, str] | None = None
    ) -> object:
        """Return the JSON of an answer to a GET, which has one of some statuses."""
        url = self._access.url + _ROUTES + quote(path, safe="/%")
        try:
            async with self._session.request(method, url, json=body, allow_redirects=False) as answer:
                if answer.status == HTTPStatus.FORBIDDEN:
                    do = f"Set {TOKEN} to the token that it was started with"
                    raise UsageError(f"the proxy at {self._access.url} refuses the token", do=do)
                if answer.status not in well:
                    raise self._strange(method, f"{answer.status} {answer.reason}")
                return await answer.json(content_type=None) if method == "GET" else None
        except TimeoutError:
            why = f"There was no answer within {PATIENCE:g} s"
        except aiohttp.ClientError as error:
            why = getattr(error, "strerror", None) or str(error)
        except ValueError:
            raise self._strange(method, "that is no JSON") from None
        do = "Start it, or give the address of its REST API, which is another one than that of its visitors"
        raise UsageError(f"the proxy at {self._access.url} does not answer", why=why, do=do)

    def _strange(self, method: str, said: str) -> UsageError:
        what = f"what is at {self._access.url} does not speak the REST API of configurable-http-proxy"
        return UsageError(what, why=f"{method} {_ROUTES}: {said}")


def _found(route: object) -> FoundRoute:
    match route:
        case {"target": str(target), "moorage": str(owner)}:
            return FoundRoute(target, owner)
        case {"target": str(target)}:
            return FoundRoute(target)
        case _:
            return FoundRoute("")


@asynccontextmanager
async def open_routes_client(access: ProxyAccess) -> AsyncIterator[RoutesClient]:
    """Yield a client; leaving the block closes its connections."""
    fields = {"Authorization": f"token {access.token}"} if access.token else {}
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(headers=fields, timeout=timeout) as session:
        yield RoutesClient(session, access)
