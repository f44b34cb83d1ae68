"""The address that a crowd is sent to: of this machine, or of one that is the user's own by its word."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit

from moorage.errors import UsageError


def checked_url(text: str, *, own: bool) -> str:
    """Return the URL that a crowd is sent to.

    Args:
        text: as typed; without a scheme it is of HTTP.
        own: whether the user says that the machine is its own.

    Raises:
        UsageError: it is no URL, or leads to another machine and ``own`` is false.
    """
    url = text if "://" in text else f"http://{text}"
    why = "It is written http://HOST:PORT/, as moorage temp says it"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{text} cannot be visited", why=why) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError(f"{text} cannot be visited", why=why)
    if not own and not is_loopback(host):
        raise UsageError(
            f"{host} may not be this machine",
            why="A crowd is hard on a server, and to one that others run it is an attack",
            do="If it is yours and not in use, say so: --yes-it-is-mine",
        )
    return parts._replace(path=parts.path or "/", fragment="").geturl()


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine for certain, by its name or address alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
