"""What opens the route of a visitor's server, and what the server is told with each request."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import sys
from collections.abc import Iterable

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.plan.admission import Admission
from moorage.plan.embedding import Embedding
from moorage.plan.visits import ServerId, VisitorId
from moorage.temp.identity import WITHHELD, Identity
from moorage.temp.server import Serving
from moorage.temp.urls import OWN, ServerUrls


def page_key(identity: Identity, server: ServerId, visitor: VisitorId) -> str:
    """Return what opens a server to a page of another site that the service has started it for."""
    return identity.signer.sign("page", f"{server} {visitor}")


def admission_of(
    identity: Identity,
    urls: ServerUrls,
    server: ServerId,
    visitor: VisitorId,
    serving: Serving,
    origins: Iterable[str] = (),
) -> Admission:
    """Return which requests may take the route of a server.

    Args:
        identity: signs cookies.
        urls: where servers are.
        server: its name.
        visitor: whose it is.
        serving: the same server.
        origins: of pages of other sites that the service may have started it for.
    """
    token = f"token {serving.home.token}".encode()
    fields = ((b"Authorization", token),) if serving.record.jupyter else ()
    cookie = identity.server_cookie(server, visitor).encode()
    own = OWN.encode() if urls.by_host else b""
    page = tuple(sorted(each.encode() for each in origins))
    pages = Embedding(page, page_key(identity, server, visitor).encode()) if page else None
    return Admission(cookie, fields, WITHHELD, serving.record.stripped, own, pages)
