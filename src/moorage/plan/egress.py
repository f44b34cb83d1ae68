"""Which hosts a visitor's server may reach, and which addresses behind their names. No I/O.

A list is what an operator has written. A request is measured by it twice: by the name that it asks for, and
by each address that the name leads to. Names are compared by whole labels, in lower case, as they are on the
wire (RFC 1123, 2.1; RFC 5891). What resolvers take for an address in other spellings (``0x7f.1``, ``127.1``)
is no host here. Addresses that are not global: RFC 6890, and the registries of IANA.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import TypeAlias

from msgspec import Struct

Address: TypeAlias = IPv4Address | IPv6Address
Host: TypeAlias = str | Address
"""A name in lower case, without a dot at its end, or an address."""

PORTS = (443, 80)
"""Those of an entry that names none."""
EVERY, NONE = "*", "none"
MOST = 32
"""Connections that one visitor may have open at once."""
ROOM_PART = 16
"""Of the descriptors of a service one in so many is for connections of all visitors; each has two of them."""
PROXY_PORT = 61002
"""Where programs behind walls find the proxy: above what a new network namespace hands out."""
PROXY_VARIABLES: Mapping[str, str] = {
    **dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), f"http://127.0.0.1:{PROXY_PORT}"
    ),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1"),
}
"""Variables of a server that may reach hosts. No ALL_PROXY: it would send other protocols here, too."""
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_DEVIATIONS = frozenset("ßς\u200c\u200d")
"""Letters that IDNA 2003 and IDNA 2008 write in different ways: two names, which may be of two owners."""
_UNICAST = IPv6Network("2000::/3")
"""All that is assigned of IPv6, but for special purposes."""
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 as a network without it reaches it (RFC 6052)."""


class EgressEntry(Struct, frozen=True):
    """One entry of a list.

    Attributes:
        host: a name, ``*.`` and a name, ``*``, or an address.
        port: None for :data:`PORTS`.
    """

    host: Host
    port: int | None = None

    @property
    def told(self) -> str:
        """It, as it is told to visitors and operators."""
        name = "any public host" if self.host == EVERY else written(self.host)
        return name if self.port is None else f"{name}:{self.port}"

    def covers(self, host: Host, port: int) -> bool:
        """Tell whether it allows a host at a port."""
        if port not in (PORTS if self.port is None else (self.port,)):
            return False
        if not isinstance(self.host, str) or not isinstance(host, str):
            return self.host == host
        if self.host == EVERY:
            return "." in host
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and len(host) >= len(self.host)
        return host == self.host


class EgressList(Struct, frozen=True):
    """What may be reached; nothing else may.

    Attributes:
        entries: in the order in which they were written.
    """

    entries: tuple[EgressEntry, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.entries)

    @property
    def told(self) -> str:
        """What may be reached, in words."""
        return ", ".join(entry.told for entry in self.entries)

    def allows(self, host: Host, port: int) -> bool:
        """Tell whether a host may be asked for; an address only where it is named itself."""
        return any(entry.covers(host, port) for entry in self.entries)

    def names(self, address: Address, port: int) -> bool:
        """Tell whether an address is named itself."""
        return self.allows(address, port)

    def reaches(self, address: Address, port: int) -> bool:
        """Tell whether an address may be connected to that the name of an allowed host leads to."""
        return is_public(address) or self.names(address, port)

    def refusal(self, host: Host, port: int) -> str:
        """Return why a host is not reached, in a sentence for a visitor."""
        what = f"{written(host)}:{port} cannot be reached from here, "
        if not self.entries:
            return f"{what}nor any other host"
        some = any(entry.port is None for entry in self.entries)
        ports = "; where no port is named, at the ports 80 and 443" if some else ""
        return f"{what}only {self.told}{ports}"


NOWHERE = EgressList()


def egress_list(words: Iterable[str]) -> EgressList:
    """Return the list that an operator has written.

    Args:
        words: each ``HOST``, ``HOST:PORT``, several of them with commas between, or ``none``. A host is a
            name, ``*.`` and a name for all below it, ``*`` for any name, or an address.

    Raises:
        ValueError: something of it cannot be; its words say what it must be.
    """
    parts = [part.strip() for word in words for part in word.split(",")]
    if NONE in parts:
        if set(parts) != {NONE}:
            raise ValueError("HOST or HOST:PORT, or none: none stands alone")
        return NOWHERE
    return EgressList(tuple(dict.fromkeys(map(_entry, parts))))


def host_of(text: str) -> Host:
    """Return the host that a text names, as requests and lists are compared.

    Args:
        text: a name, an IPv4 address in four decimal numbers, or an IPv6 address in brackets.

    Raises:
        ValueError: it names none, or one in a spelling that programs read in different ways.
    """
    if text.startswith("["):
        if not text.endswith("]") or "%" in text:
            raise ValueError(f"{text} is no host")
        return IPv6Address(text[1:-1])
    name = text.removesuffix(".").lower()
    labels = name.split(".")
    if not text.isascii() or len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{text} is no host")
    return IPv4Address(name) if _NUMBER.fullmatch(labels[-1]) else name


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public network, and no other way to write one that is not.

    Addresses of this machine can be public; they are told apart where its interfaces are known.
    """
    address = translated(address)
    if isinstance(address, IPv4Address):
        return address.is_global and not (address.is_multicast or address.is_reserved)
    tunnelled = address.sixtofour is not None or address.teredo is not None
    return address in _UNICAST and address.is_global and not tunnelled


def translated(address: Address) -> Address:
    """Return the address that is reached where one of IPv6 is another way to write one of IPv4 (NAT64)."""
    if isinstance(address, IPv6Address) and address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def may_open(own: int, free: int) -> bool:
    """Tell whether a visitor may open a connection more: no more than there are free ones, and :data:`MOST`.

    So one visitor alone takes half of all, two of them a third each, and there is always one left for a
    visitor that has none.

    Args:
        own: how many it has open.
        free: how many more all visitors together may open.
    """
    return own < min(MOST, free)


def _entry(text: str) -> EgressEntry:
    if "/" in text:
        raise ValueError(f"HOST or HOST:PORT: {text} is no host")
    if text.count(":") > 1 and not text.startswith("["):
        return EgressEntry(_listed(f"[{text}]", text))
    name, colon, digits = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        return EgressEntry(_listed(text, text))
    port = int(digits) if _PORT.fullmatch(digits) else 0
    if not 0 < port < 65536:
        raise ValueError(f"HOST or HOST:PORT: {digits or 'nothing'} is no port of {name}")
    return EgressEntry(_listed(name, text), port)


def _listed(host: str, text: str) -> Host:
    """Return the host of an entry."""
    if host == EVERY:
        return EVERY
    below = host.startswith("*.")
    name = host.removeprefix("*.")
    if not _DEVIATIONS.isdisjoint(name):
        raise ValueError(
            f"HOST or HOST:PORT: {name} is written otherwise by different programs, write xn--..."
        )
    try:
        plain = name if name.isascii() else name.encode("idna").decode("ascii")
        found = host_of(plain)
    except ValueError:
        raise ValueError(f"HOST or HOST:PORT: {text or 'nothing'} is no host") from None
    if not below:
        return found
    if not isinstance(found, str):
        raise ValueError(f"HOST or HOST:PORT: {text} is no host")  # noqa: TRY004 - told as every other word
    return f"*.{found}"


def written(host: Host) -> str:
    """Return a host as it stands before a colon and a port."""
    return f"[{host}]" if isinstance(host, IPv6Address) else str(host)
