"""Where servers are reached: below a path of the page's host, or at a host name of its own each."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass

from moorage.errors import UsageError
from moorage.plan.visits import ServerId

LOCAL_SUFFIX = "localhost"
"""Names below it lead browsers to their own machine (RFC 6761, 6.3), without an entry anywhere."""
OWN = "/.moorage/"
"""Paths of a server's host that the service answers itself begin so."""
_NAME = re.compile(r"(?=.{1,200}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_SERVER = re.compile(r"[0-9a-f]{16}")
_PORT = re.compile(r":[0-9]*$")


@dataclass(frozen=True)
class ServerUrls:
    """Says it for one service.

    Args:
        suffix: hosts of servers are names directly below it; empty where servers are told apart by paths.
        front: host of the pages, where there is a suffix.
    """

    suffix: str = ""
    front: str = ""

    @property
    def by_host(self) -> bool:
        """Whether each server has a host name of its own."""
        return bool(self.suffix)

    def base(self, server: ServerId) -> str:
        """Return the path of a server's URLs; a slash stands at its end."""
        return "/" if self.suffix else f"/user/{server}/"

    def route(self, server: ServerId) -> str:
        """Return the prefix of a server's route."""
        return f"/{server}.{self.suffix}" if self.suffix else self.base(server)

    def url(self, server: ServerId, host: str) -> str:
        """Return where a server is from a page of this service, without scheme; a slash stands at its end.

        Args:
            server: its name.
            host: of the page, with its port.
        """
        return f"//{server}.{self.suffix}{port_of(host)}/" if self.suffix else self.base(server)

    def pages(self, host: str) -> str:
        """Return host and port of the pages.

        Args:
            host: of any request, with its port.
        """
        return f"{self.front}{port_of(host)}" if self.suffix else host

    def sources(self, host: str) -> str:
        """Return the sources of a Content-Security-Policy that are pages and servers.

        Args:
            host: of the page, with its port.
        """
        return f"'self' *.{self.suffix}{port_of(host)}" if self.suffix else "'self'"

    def is_below(self, host: str) -> bool:
        """Tell whether a host, with its port or without, is one of those that servers may have."""
        return self.by_host and host_name(host).endswith(f".{self.suffix}") and host_name(host) != self.front

    def server(self, host: str) -> ServerId | None:
        """Return which server a host, with its port or without, would be of; None for none."""
        name, dot, rest = host_name(host).partition(".")
        known = dot and self.suffix and rest == self.suffix and _SERVER.fullmatch(name)
        return ServerId(name) if known else None


def host_name(host: str) -> str:
    """Return the name in a Host field, without its port, in lower case."""
    return _PORT.sub("", host.lower()).strip("[]")


def port_of(host: str) -> str:
    """Return the port in a Host field with its colon; empty where there is none."""
    found = _PORT.search(host)
    return found[0] if found and found[0] != ":" else ""


def urls_of(suffix: str | None, names: list[str]) -> ServerUrls:
    """Return where servers are by what the options say.

    Args:
        suffix: of ``--host-routing``; None without it.
        names: hosts by which visitors reach the service; the first one is that of its pages.

    Raises:
        UsageError: the suffix is no domain, or the host of the pages is one that a server may have.
    """
    if suffix is None:
        return ServerUrls()
    domain = suffix.lower().strip(".").removeprefix("*.")
    number = False
    with suppress(ValueError):
        number = bool(ipaddress.ip_address(domain))
    if number or not _NAME.fullmatch(domain) or ("." not in domain and domain != LOCAL_SUFFIX):
        raise UsageError(
            f"--host-routing {suffix} cannot be",
            why="It is a domain, of which each name leads here: apps.example.org",
        )
    urls = ServerUrls(domain, names[0].lower() if names else domain)
    if urls.server(urls.front) is not None:
        raise UsageError(f"--name {urls.front} cannot be", why="With --host-routing a server may have it")
    return urls
