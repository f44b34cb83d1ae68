"""What a request for a file gets: all of it, a part, or word that nothing has changed.

RFC 9110 has conditions in section 13 and ranges in section 14.
"""

from __future__ import annotations

import re

import msgspec

from moorage.wire.http import RequestHead

_NOTED = re.compile(rb"\r\n(?i:(accept-encoding|if-none-match|if-range|range)):[ \t]*+([^\r]*)")
_RANGE = re.compile(rb"(?i:bytes)=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")
_TAG = re.compile(rb'(?:W/)?("[^"]*")')
_WEIGHT = re.compile(rb"(?i:q)=([01](?:\.[0-9]{0,3})?)")
_REASONS = {200: b"OK", 206: b"Partial Content", 304: b"Not Modified", 416: b"Range Not Satisfiable"}
READS = frozenset({b"GET", b"HEAD"})
"""The methods that files answer."""


class FileFacts(msgspec.Struct, frozen=True):
    """What is known about a file as it is sent.

    Attributes:
        tag: says which bytes these are; the same for the file and for what compression made of it.
        kind: its Content-Type.
        size: in bytes, as it is sent.
        zipped: whether it is compressed by gzip.
        fields: more lines of fields, each with CRLF at its end.
    """

    tag: bytes
    kind: bytes
    size: int
    zipped: bool = False
    fields: bytes = b""


class FileAnswer(msgspec.Struct, frozen=True):
    """A response: status, head, and which bytes of those that :class:`FileFacts` are about follow."""

    status: int
    head: bytes
    start: int
    end: int


class FileWishes(msgspec.Struct, frozen=True):
    """What a request says about how it wants a file; lower-case names, b"" where it says nothing."""

    encodings: bytes = b""
    unless: bytes = b""
    part: bytes = b""
    part_of: bytes = b""

    @property
    def zipped(self) -> bool:
        """Whether it takes gzip. A part is of the file itself: that is what other servers would send, too."""
        return not self.part and takes_gzip(self.encodings)


def file_wishes(request: RequestHead) -> FileWishes:
    """Return what a request says about how it wants a file."""
    found: dict[bytes, bytes] = {}
    for name, value in _NOTED.findall(request.fields.block):
        known = found.get(name.lower())
        found[name.lower()] = value if known is None else known + b"," + value
    part = found.get(b"range", b"") if request.method == b"GET" else b""
    return FileWishes(
        found.get(b"accept-encoding", b""),
        found.get(b"if-none-match", b"").strip(b" \t"),
        part,
        found.get(b"if-range", b"").strip(b" \t"),
    )


def takes_gzip(encodings: bytes) -> bool:
    """Tell whether the value of Accept-Encoding has gzip among what is taken."""
    named = other = False
    for each in encodings.lower().split(b","):
        name, _, parameters = each.partition(b";")
        weight = _WEIGHT.fullmatch(parameters.strip(b" \t"))
        taken = weight is None or float(weight[1]) > 0
        if name.strip(b" \t") in {b"gzip", b"x-gzip"}:
            return taken
        if name.strip(b" \t") == b"*":
            named, other = True, taken
    return named and other


def answer_with(request: RequestHead, wishes: FileWishes, file: FileFacts, date: bytes) -> FileAnswer:
    """Return what a GET or HEAD for a file gets.

    Args:
        request: its head.
        wishes: what :func:`file_wishes` found in it.
        file: as it is sent.
        date: now, as the field Date has it.
    """
    plain, zipped = b'"' + file.tag + b'"', b'"' + file.tag + b'-gzip"'
    own = zipped if file.zipped else plain
    status, start, end = 200, 0, file.size
    if wishes.unless:
        known = {plain, zipped} if wishes.unless == b"*" else set(_TAG.findall(wishes.unless))
        if not known.isdisjoint({plain, zipped}):
            status = 304
            own = own if own in known else min(known & {plain, zipped})
    if status == 200 and wishes.part and not file.zipped and wishes.part_of in {b"", own}:
        status, start, end = _part(wishes.part, file.size)
    lines = b"Date: %b\r\nETag: %b\r\nVary: Accept-Encoding\r\n%b" % (date, own, file.fields)
    if status == 416:
        lines += b"Content-Range: bytes */%d\r\n" % file.size
    elif status != 304:
        lines += b"Content-Type: %b\r\nAccept-Ranges: bytes\r\n" % file.kind
        lines += b"Content-Encoding: gzip\r\n" if file.zipped else b""
    if status == 206:
        lines += b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, file.size)
    if status != 304:
        lines += b"Content-Length: %d\r\n" % (end - start)
    connection = b"keep-alive" if request.persistent else b"close"
    head = b"HTTP/1.1 %d %b\r\n%bConnection: %b\r\n\r\n" % (status, _REASONS[status], lines, connection)
    if status == 304 or request.method == b"HEAD":
        start = end = 0
    return FileAnswer(status, head, start, end)


def _part(wanted: bytes, size: int) -> tuple[int, int, int]:
    """Return status, start and end for a Range; what is no single range of bytes gets everything."""
    found = _RANGE.fullmatch(wanted.strip(b" \t"))
    if found is None or not (found[1] or found[2]):
        return 200, 0, size
    if not found[1]:
        last = min(int(found[2]), size)
        return (206, size - last, size) if last else (416, 0, 0)
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return 200, 0, size
    if start >= size:
        return 416, 0, 0
    return 206, start, min(int(found[2]) + 1, size) if found[2] else size
