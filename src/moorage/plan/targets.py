"""Where a route leads: ``http://host:port``, ``https://``, ``http+unix://%2Fx.sock``, ``unix:/x.sock``."""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec

from moorage.errors import UsageError

_NETWORK = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?",
    re.IGNORECASE,
)
_UNIX = re.compile(
    r"(?:http\+unix|unix\+http)://(?P<socket>(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+)(?P<path>/[!-~]*)?"
)
_BARE_UNIX = re.compile(r"unix:(?://)?(?P<socket>/[^\0?#]+)")
_PORTS = {"http": 80, "https": 443}


class Target(msgspec.Struct, frozen=True):
    """The server that a route leads to.

    ``socket`` is the path of a Unix socket; where it is "", ``host`` and ``port`` are an address. ``path`` is
    put before the path of a request; it has no slash at its end. ``authority`` is what its Host field would
    be.
    """

    host: str
    port: int
    socket: str
    tls: bool
    path: bytes
    authority: bytes


def parse_target(text: str) -> Target:
    """Return what a target says.

    Args:
        text: a URL, or ``unix:`` and the path of a socket.

    Raises:
        UsageError: it is neither.
    """
    if found := _BARE_UNIX.fullmatch(text):
        return Target("", 0, found["socket"], False, b"", b"localhost")
    if found := _UNIX.fullmatch(text):
        socket = unquote(found["socket"])
        if socket.startswith("/") and "\0" not in socket:
            return Target("", 0, socket, False, _path(found["path"]), b"localhost")
    elif found := _NETWORK.fullmatch(text):
        scheme = found["scheme"].lower()
        port = int(found["port"] or _PORTS[scheme])
        if 0 < port < 65536:
            host = found["host"].lower()
            authority = host if port == _PORTS[scheme] else f"{host}:{port}"
            return Target(
                host.strip("[]"), port, "", scheme == "https", _path(found["path"]), authority.encode()
            )
    raise UsageError(
        f"{text!r} is no target",
        why="A target is http://HOST:PORT, https://HOST:PORT, http+unix://%2FPATH or unix:/PATH",
    )


def _path(path: str | None) -> bytes:
    return (path or "").partition("?")[0].rstrip("/").encode()
