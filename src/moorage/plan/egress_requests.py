"""What is asked of a forward proxy: a tunnel to a host, or one plain request, which is made anew. No I/O.

RFC 9112, 3.2 (forms of targets); RFC 9110, 7.6 (what is sent on) and 9.3.6 (CONNECT).
"""

from __future__ import annotations

import re

from msgspec import Struct

from moorage.plan.egress import Host, host_of, written
from moorage.plan.proxying import without_hop_by_hop
from moorage.wire.http import RefusedHead, RequestHead, read_fields
from moorage.wire.http_body import Body, request_body

MAX_HEAD = 16384
"""Bytes that a head may have."""
_HOST = rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._\-]{1,255})"
_TUNNEL = re.compile(rb"CONNECT " + _HOST + rb":([0-9]{1,5}) HTTP/1\.[01]")
_PLAIN = re.compile(
    rb"((?!CONNECT )[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) (?i:http)://" + _HOST + rb"(?::([0-9]{0,5}))?"
    rb"((?:[/?][\x21\x22\x24-\x7e\x80-\xff]*+)?) HTTP/1\.([01])"
)
_OTHER_VERSION = re.compile(rb"\S+ \S+ HTTP/(?!1\.[01]$)[0-9.]{1,5}")
_HOST_LINE = re.compile(rb"\r\n(?i:host):[^\r]*+")
_UNSAID = re.compile(r"[^\x20-\x7e]")
_REASON = 500
"""Characters of a sentence that stand in the first line of an answer: most programs show nothing else."""


class ForwardRequest(Struct, frozen=True):
    """One request.

    Attributes:
        host: that is asked for.
        port: of it.
        message: the head that is sent on, for a plain request; empty for a tunnel.
        body: what follows it of a plain request; None for nothing.
    """

    host: Host
    port: int
    message: bytes = b""
    body: Body | None = None


def read_forward_request(data: bytes, end: int) -> ForwardRequest:
    """Return the request that ``data`` begins with.

    A plain request gets the host that its target names, whatever its Host says, and is the last one of its
    connection: what a host sees behind it was not looked at.

    Args:
        data: what has arrived.
        end: where the first empty line begins in it.

    Raises:
        RefusedHead: it is malformed, ambiguous, too long, or names no host.
    """
    if end > MAX_HEAD:
        raise RefusedHead("the head is too long", 431)
    line_end = data.find(b"\r\n")
    line, fields = data[:line_end], read_fields(data[line_end:end])
    tunnel = _TUNNEL.fullmatch(line)
    if tunnel is not None:
        if fields.chunked or fields.length > 0:
            raise RefusedHead("CONNECT has no body")
        return ForwardRequest(_host(tunnel[1]), _port(tunnel[2]))
    plain = _PLAIN.fullmatch(line)
    if plain is None:
        if _OTHER_VERSION.fullmatch(line):
            raise RefusedHead("the version is not HTTP/1.0 or HTTP/1.1", 505)
        raise RefusedHead("this is a proxy: it takes CONNECT HOST:PORT, and plain requests to http://HOST/")
    method, name, digits, rest, minor = plain.groups()
    if fields.chunked and minor == b"0":
        raise RefusedHead("HTTP/1.0 has no Transfer-Encoding")
    host, port = _host(name), _port(digits or b"80")
    target = rest if rest.startswith(b"/") else b"/" + rest
    lines = _HOST_LINE.sub(b"", without_hop_by_hop(fields))
    head = b"%s %s HTTP/1.%s\r\nHost: %s%s\r\nConnection: close\r\n\r\n"
    message = head % (method, target, minor, _authority(host, port), lines)
    return ForwardRequest(
        host, port, message, request_body(RequestHead(method, target, None, int(minor), fields))
    )


def answer(status: int, sentence: str) -> bytes:
    """Return an answer of the proxy's own, the last one of its connection.

    Args:
        status: of it.
        sentence: why, also in its first line: programs that ask for a tunnel show nothing else.
    """
    plain = _UNSAID.sub(lambda found: "?" if found[0].isprintable() else " ", sentence)
    body = f"{plain}\n".encode("ascii")
    head = (
        f"HTTP/1.1 {status} {plain[:_REASON]}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def _host(text: bytes) -> Host:
    try:
        return host_of(text.decode("ascii"))
    except ValueError:
        raise RefusedHead("the target names no host") from None


def _port(digits: bytes) -> int:
    port = int(digits)
    if not 0 < port < 65536:
        raise RefusedHead("the target names no port")
    return port


def _authority(host: Host, port: int) -> bytes:
    name = written(host)
    return (name if port == 80 else f"{name}:{port}").encode("ascii")
