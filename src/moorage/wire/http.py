"""Heads of HTTP/1 messages, parsed strictly: a head that two servers could read differently is refused.

RFC 9112 has the grammar. One regular expression checks a line or a block of fields whole; no object is made
for a field, and what a proxy need not know stays the bytes that came. A connection repeats its fields with
each request, so the last block is remembered: that leaves the request line, which takes about a microsecond.
"""

from __future__ import annotations

import re

import msgspec

from moorage.errors import ProtocolError

MAX_HEAD = 65536
"""Bytes that a head may have; a longer one is refused with 431."""
HEAD_END = b"\r\n\r\n"
NO_LENGTH = -1

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# A plain path has nothing to decode and no segment that begins with a dot; the rest is looked at closely.
_START = rb"[A-Za-z0-9_~!$&'()*+,;=:@\-]"
_PLAIN = rb"(?:/(?:" + _START + rb"[A-Za-z0-9_~!$&'()*+,;=:@.\-]*+)?+)++"
_VISIBLE = rb"[\x21\x22\x24-\x7e\x80-\xff]"
_REQUEST_LINE = re.compile(
    rb"(" + _TOKEN + rb"++) ((" + _PLAIN + rb")(?:\?" + _VISIBLE + rb"*+)?+|"
    rb"" + _VISIBLE + rb"++) HTTP/1\.([01])"
)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?")
_BLOCK = re.compile(rb"(?:\r\n" + _TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+)*+")
_NOTED = re.compile(
    rb"\r\n(?i:(host|content-length|transfer-encoding|connection|upgrade)):[ \t]*+([^\r]*+)",
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~%!$&'()*+;=\-]{1,255})(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?\\@]+)([/?].*)?")
_OTHER_VERSION = re.compile(rb"\S+ \S+ HTTP/[0-9.]+")


class RefusedHead(ProtocolError):
    """A head that is not forwarded.

    Args:
        what: what is wrong with it.
        status: the status of the answer, 400 to 505, for a request; a response like that is a 502.
    """

    def __init__(self, what: str, status: int = 400) -> None:
        super().__init__(what)
        self.status = status


class Fields(msgspec.Struct, frozen=True, gc=False):
    """What the fields of a head say of the message and its connection.

    ``block`` is the bytes of all lines, each with CRLF before it. ``options`` are the lower-case words of
    Connection, ``upgrade`` the lower-case value of Upgrade, both b"" where there is none.
    """

    block: bytes
    host: bytes
    length: int
    chunked: bool
    options: frozenset[bytes]
    upgrade: bytes


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """The head of one request.

    ``target`` is in origin form, as it came. ``plain_path`` is its path where that needs no decoding and has
    no dot segments, else None. ``minor`` is 0 for HTTP/1.0 and 1 for HTTP/1.1.
    """

    method: bytes
    target: bytes
    plain_path: bytes | None
    minor: int
    fields: Fields

    @property
    def websocket(self) -> bool:
        """Whether it asks for a websocket: the one upgrade that is forwarded (h2c would hide requests)."""
        fields = self.fields
        return bool(fields.upgrade) and (
            fields.upgrade == b"websocket" and b"upgrade" in fields.options and self.minor == 1
        )

    @property
    def persistent(self) -> bool:
        """Whether its connection stays open afterwards."""
        return self.minor == 1 and b"close" not in self.fields.options


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """The head of one response; ``fields.host`` means nothing here."""

    status: int
    minor: int
    fields: Fields

    @property
    def persistent(self) -> bool:
        """Whether its connection stays open afterwards."""
        return self.minor == 1 and b"close" not in self.fields.options


class RequestReader:
    """Reads the heads of the requests of one connection."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = _NO_FIELDS

    def read(self, data: bytes, end: int) -> RequestHead:
        """Return the head that ``data`` begins with.

        Args:
            data: what has arrived.
            end: where the first empty line begins in it (``data.find(HEAD_END)``).

        Raises:
            RefusedHead: it is malformed, ambiguous, too long, or of a kind that is not served.
        """
        if end > MAX_HEAD:
            raise RefusedHead("the head is too long", 431)
        line_end = data.find(b"\r\n")
        line = _REQUEST_LINE.fullmatch(data, 0, line_end)
        if line is None:
            raise _refused_line(data[:line_end])
        method, target, path, minor = line.groups()
        block = data[line_end:end]
        fields = self._last
        if block != fields.block:
            fields = self._last = read_fields(block)
        if minor == b"0":
            return _old_request(method, target, path, fields)
        if not fields.host:
            raise RefusedHead("there is no Host")
        if path is None:
            target = _origin_form(method, target, fields.host)
        return RequestHead(method, target, path, 1, fields)


def read_response(data: bytes, end: int) -> ResponseHead:
    """Return the head of the response that ``data`` begins with.

    Args:
        data: what has arrived.
        end: where the first empty line begins in it.

    Raises:
        RefusedHead: it is malformed, ambiguous or too long.
    """
    if end > MAX_HEAD:
        raise RefusedHead("the head is too long", 502)
    line_end = data.find(b"\r\n")
    line = _STATUS_LINE.fullmatch(data, 0, line_end)
    if line is None:
        raise RefusedHead("there is no status line", 502)
    fields = read_fields(data[line_end:end])
    minor, status = line.groups()
    return ResponseHead(int(status), 1 if minor == b"1" else 0, fields)


def read_fields(block: bytes) -> Fields:
    """Return what the fields of a head say.

    Args:
        block: all lines of fields, each with CRLF before it and none after the last.

    Raises:
        RefusedHead: a line is malformed, or the end of the body would be a matter of opinion.
    """
    if _BLOCK.fullmatch(block) is None:
        raise RefusedHead(
            "a line is no field: folded, with a blank before the colon, or with control characters"
        )
    host = upgrade = b""
    length, chunked, options = NO_LENGTH, False, _NO_OPTIONS
    for spelling, padded in _NOTED.findall(block):
        name, value = spelling.lower(), padded.rstrip(b" \t")
        if name == b"content-length":
            if length != NO_LENGTH or _LENGTH.fullmatch(value) is None:
                raise RefusedHead("there is more than one Content-Length, or it is no number")
            length = int(value)
        elif name == b"connection":
            options |= frozenset(word.strip(b" \t").lower() for word in value.split(b","))
        elif name == b"host":
            if host or _HOST.fullmatch(value) is None:
                raise RefusedHead("there is more than one Host, or it names no host")
            host = value
        elif name == b"transfer-encoding":
            chunked = _chunked(value, again=chunked)
        else:
            upgrade = upgrade + b"," + value.lower() if upgrade else value.lower()
    if chunked and length != NO_LENGTH:
        raise RefusedHead("there are both Content-Length and Transfer-Encoding")
    return Fields(block, host, length, chunked, options, upgrade)


def _chunked(value: bytes, *, again: bool) -> bool:
    if again:
        raise RefusedHead("there is more than one Transfer-Encoding")
    if value.lower() != b"chunked":
        known = re.fullmatch(
            rb"(?i)(?:gzip|x-gzip|deflate|compress|x-compress)(?:[ \t]*,[ \t]*chunked)?", value
        )
        raise RefusedHead("the Transfer-Encoding is not chunked", 501 if known else 400)
    return True


def _old_request(method: bytes, target: bytes, path: bytes | None, fields: Fields) -> RequestHead:
    """Return the head of a request of HTTP/1.0, which has no transfer codings and need not name a host."""
    if fields.chunked:
        raise RefusedHead("HTTP/1.0 has no Transfer-Encoding")
    if path is None:
        target = _origin_form(method, target, fields.host)
    return RequestHead(method, target, path, 0, fields)


def _origin_form(method: bytes, target: bytes, host: bytes) -> bytes:
    """Return path and query of a target that is no plain path."""
    if method == b"CONNECT":
        raise RefusedHead("CONNECT is not served", 501)
    if target.startswith(b"/"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise RefusedHead("the target is no path")
    if host and absolute[1].lower() != host.lower():
        raise RefusedHead("the target and Host name different hosts")
    rest = absolute[2] or b"/"
    return rest if rest.startswith(b"/") else b"/" + rest


def _refused_line(line: bytes) -> RefusedHead:
    if _OTHER_VERSION.fullmatch(line) and not line.endswith((b" HTTP/1.0", b" HTTP/1.1")):
        return RefusedHead("the version is not HTTP/1.0 or HTTP/1.1", 505)
    return RefusedHead("there is no request line")


_NO_OPTIONS: frozenset[bytes] = frozenset()
_NO_FIELDS = Fields(b"\0", b"", NO_LENGTH, False, _NO_OPTIONS, b"")  # no block is equal to this one
