"""What a proxy can be told, and what holds where it is told nothing."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from moorage.errors import UsageError
from moorage.plan.proxying import Forwarding
from moorage.plan.targets import Target

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t -~\xa0-\xff]*")
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"})


@dataclass(frozen=True)
class ProxySettings:
    """Settings of one proxy; times are in seconds.

    Args:
        forwarding: how requests and responses are changed.
        error_target: where error pages are fetched from.
        pages: error pages by status; the one of 0 is for every status that has none.
        crowded: error page for visitors for whom descriptors are short; empty for the one of 503.
        pages_at_once: how many connections there may be to pages of the process that has the routes.
        timeout: how long a visitor's connection may be silent within a request; None is for ever.
        proxy_timeout: how long a server may take to begin its response; None is for ever.
        keep_alive: how long a visitor's connection is kept between requests.
        head_timeout: how long the head of a request may take.
        body_timeout: how long a visitor may pause within the body of a request.
        read_timeout: how long a visitor may take to read what was sent, before the rest is.
        connect_timeout: how long a connection to a server may take.
        upstream_idle: how long a connection to a server is kept between requests. Servers in Node and uvicorn
            close theirs after 5 s, and a request must not meet that.
        upstream_spares: how many such connections a route keeps.
        target_tls: for targets with https.
    """

    forwarding: Forwarding = field(default_factory=Forwarding)
    error_target: Target | None = None
    pages: Mapping[int, bytes] = field(default_factory=dict)
    crowded: bytes = b""
    pages_at_once: int = 1 << 20
    timeout: float | None = None
    proxy_timeout: float | None = None
    keep_alive: float = 75.0
    head_timeout: float = 10.0
    body_timeout: float = 75.0
    read_timeout: float = 300.0
    connect_timeout: float = 10.0
    upstream_idle: float = 4.0
    upstream_spares: int = 64
    target_tls: ssl.SSLContext | None = None


def custom_field(text: str) -> tuple[bytes, bytes]:
    """Return name and value of a field written ``NAME:VALUE``.

    Raises:
        UsageError: it is none, or one that would change where a message ends.
    """
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() in _FRAMING:
        raise UsageError(f"{text!r} is no field that can be added", why="It is written NAME:VALUE")
    return name.encode(), value.encode("latin-1")
