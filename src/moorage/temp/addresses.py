"""From which address a visitor comes: what proxies say of that, as far as they are trusted."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TypeAlias

from moorage.errors import UsageError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
HOUSEHOLD = 64
"""Bits of an IPv6 address that tell connections apart: each gets such a network, and may use all of it."""
_PORT = re.compile(r"(?<=\d):\d+$|(?<=\]):\d+$")


def trusted_network(text: str) -> Network:
    """Return the network that an option names: ``127.0.0.1``, ``10.0.0.0/8``.

    Raises:
        UsageError: it names none.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise UsageError(f"--trusted-proxy {text} cannot be", why=str(error).capitalize()) from None


def visitor_address(forwarded: str, trusted: tuple[Network, ...]) -> str:
    """Return from which address a visitor comes; of an IPv6 address, the network of 64 bits that it is in.

    Args:
        forwarded: X-Forwarded-For: each proxy on the way has added where the request came from, and the last
            one was this service's own. What stands before is believed where a trusted proxy has added it.
        trusted: networks of proxies that are.
    """
    found = ""
    for hop in reversed(forwarded.split(",")):
        try:
            address = _address(hop)
        except ValueError:
            break
        found = (
            str(ipaddress.ip_network((address, HOUSEHOLD), strict=False))
            if address.version == 6
            else str(address)
        )
        if not any(address in network for network in trusted):
            break
    return found


def _address(hop: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    text = hop.strip()
    if text.count(":") == 1 or text.startswith("["):
        text = _PORT.sub("", text).strip("[]")
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def origin_of(listener: socket.socket) -> str:
    """Return the origin of a service's pages, by what it listens on.

    Args:
        listener: on an address of IPv4 or IPv6; of all addresses the name of this machine leads to one.
    """
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - what is listened on is looked at here
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
