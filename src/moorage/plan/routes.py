"""A table of routes: the longest prefix wins, by whole segments of a path.

Paths are split first and decoded afterwards, so that an encoded slash belongs to its segment: ``/user%2Fu1``
does not lead to ``/user/u1``. What a server could resolve to another path than the table did (``..``, also
encoded) is refused rather than normalised, because it is forwarded as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Generic, TypeAlias, TypeVar

from moorage.wire.http import RefusedHead

T = TypeVar("T")
Segments: TypeAlias = tuple[bytes, ...]
"""The decoded segments of a path, without the empty ones at both of its ends."""

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_PORT = re.compile(rb":[0-9]*$")


class _Node(Generic[T]):
    """A segment of the table: what is routed there, and what goes on below it."""

    __slots__ = ("below", "value")

    def __init__(self) -> None:
        self.value: T | None = None
        self.below: dict[bytes, _Node[T]] = {}


class RouteTable(Generic[T]):
    """Maps prefixes of paths to values of any type."""

    __slots__ = ("_depth", "_root", "_values")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._values: dict[Segments, T] = {}
        self._depth = 1

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> Iterator[tuple[Segments, T]]:
        """Yield the segments and the value of each route, in the order in which they were added."""
        yield from self._values.items()

    def get(self, prefix: Segments) -> T | None:
        """Return the value of exactly this prefix."""
        return self._values.get(prefix)

    def add(self, prefix: Segments, value: T) -> None:
        """Add a route, in the place of one of the same prefix."""
        node = self._root
        for segment in prefix:
            node = node.below.setdefault(segment, _Node())
        node.value = value
        self._values[prefix] = value
        self._depth = max(self._depth, len(prefix) + 1)

    def remove(self, prefix: Segments) -> T | None:
        """Remove the route of exactly this prefix and return its value; None when there is none."""
        value = self._values.pop(prefix, None)
        if value is None:
            return None
        way = [self._root]
        for segment in prefix:
            way.append(way[-1].below[segment])
        way[-1].value = None
        for parent, segment, node in zip(way[-2::-1], reversed(prefix), way[:0:-1], strict=True):
            if node.value is None and not node.below:
                del parent.below[segment]
        return value

    def find_plain(self, path: bytes) -> T | None:
        """Return the value of the longest prefix of a path that needs no decoding, None where there is none.

        Args:
            path: begins with a slash, see :attr:`moorage.wire.http.RequestHead.plain_path`.
        """
        node = self._root
        best = node.value
        # What lies deeper than any route stays in one piece, after the leading b"".
        for segment in path.split(b"/", self._depth)[1:]:
            deeper = node.below.get(segment)
            if deeper is None:
                break
            node = deeper
            if node.value is not None:
                best = node.value
        return best

    def find(self, segments: Segments) -> T | None:
        """Return the value of the longest prefix of these segments, None where there is none."""
        node = self._root
        best = node.value
        for segment in segments:
            deeper = node.below.get(segment)
            if deeper is None:
                break
            node = deeper
            if node.value is not None:
                best = node.value
        return best


def request_segments(target: bytes) -> Segments:
    """Return the decoded segments of a request's path, empty ones included.

    Args:
        target: path and query, as they came.

    Raises:
        RefusedHead: a percent sign is no escape, the path is not UTF-8, or servers differ about its meaning.
    """
    path = target.partition(b"?")[0]
    if b"\\" in path:
        raise RefusedHead("there is a backslash in the path")
    segments = tuple(_decoded(segment) for segment in path.split(b"/")[1:])
    if any(segment in {b".", b".."} for segment in segments):
        raise RefusedHead("there are dot segments in the path")
    return segments


def prefix_segments(path: str) -> Segments:
    """Return the segments of the prefix of a route, written as in a URL or decoded.

    Args:
        path: with or without slashes at its ends.

    Raises:
        RefusedHead: as :func:`request_segments` does.
    """
    stripped = path.strip("/")
    return request_segments(b"/" + stripped.encode()) if stripped else ()


def shown_prefix(prefix: Segments) -> str:
    """Return a prefix as configurable-http-proxy shows it: decoded, but for what would be another prefix."""
    parts = (part.replace(b"%", b"%25").replace(b"/", b"%2F").decode() for part in prefix)
    return "/" + "/".join(parts)


def host_name(host: bytes) -> bytes:
    """Return the name in a Host field: without its port, in lower case."""
    return _PORT.sub(b"", host).lower()


def _decoded(segment: bytes) -> bytes:
    if b"%" in segment:
        segment = _ESCAPE.sub(_unescaped, segment)
    try:
        segment.decode()
    except UnicodeDecodeError:
        raise RefusedHead("the path is not UTF-8") from None
    return segment


def _unescaped(escape: re.Match[bytes]) -> bytes:
    if escape[1] is None:
        raise RefusedHead("a percent sign in the path is no escape")
    return bytes.fromhex(escape[1].decode())
