"""Which requests may take a route that is for one visitor alone, and what its server is told instead.

A route with an :class:`Admission` is opened by a cookie. The cookie goes with every request of its browser,
so a request that changes something, or opens a websocket, must come from a page of this very host: browsers
say which page it is (Origin, RFC 6454). Servers get the fields of the admission, among them their own token,
and never the cookies that open them.
"""

from __future__ import annotations

import hmac
import re

import msgspec

from moorage.wire.http import Fields, RequestHead

_COOKIES = re.compile(rb"\r\n(?i:cookie):[ \t]*+([^\r]*)")
_ORIGIN = re.compile(rb"\r\n(?i:origin):[ \t]*+([^\r]*)")
_MODE = re.compile(rb"\r\n(?i:sec-fetch-mode):[ \t]*+([^\r]*)")
_LOCATION = re.compile(rb"(\r\n(?i:location):[ \t]*+)(/(?!/)[^\r]*)")
_COOKIE_PATH = re.compile(rb"(\r\n(?i:set-cookie):[^\r]*?;[ \t]*(?i:path)=)(/[^;\r]*)")
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Admission(msgspec.Struct, frozen=True):
    """What opens a route.

    Attributes:
        cookie: name and value, as ``NAME=VALUE``.
        fields: names and values of fields that stand in the place of the visitor's own.
        withheld: cookies whose name begins so are not sent on.
        stripped: the route's prefix is left out of requests, and put before what responses lead to: for
            applications that cannot be told where they are served.
    """

    cookie: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()
    withheld: bytes = b""
    stripped: bool = False

    def admits(self, head: RequestHead) -> bool:
        """Tell whether a request may take the route."""
        block = head.fields.block
        found = False
        for line in _COOKIES.findall(block):
            for pair in line.split(b";"):
                # Each is compared, and each in the same time: how much of a cookie is right is not told.
                found = hmac.compare_digest(pair.strip(b" \t"), self.cookie) or found
        return found and ((head.method in _SAFE and not head.websocket) or same_host(head.fields))


def same_host(fields: Fields) -> bool:
    """Tell whether a request comes from a page of the host that it goes to, or from no page at all."""
    origins = _ORIGIN.findall(fields.block)
    return all(each.rpartition(b"//")[2].strip(b" \t").lower() == fields.host.lower() for each in origins)


def shows_a_page(head: RequestHead) -> bool:
    """Tell whether the answer to a request is shown to a reader: scripts and websockets want none."""
    mode = _MODE.search(head.fields.block)
    return not head.websocket and (mode is None or mode[1].strip(b" \t").lower() == b"navigate")


def prefixed(head: bytes, prefix: bytes) -> bytes:
    """Return the head of a response that leads to paths, and keeps cookies for paths, below a prefix.

    Args:
        head: status line and fields, as a server sent them that knows nothing of the prefix.
        prefix: begins with a slash, and does not end with one.
    """
    head = _LOCATION.sub(lambda found: found[1] + prefix + found[2], head)
    return _COOKIE_PATH.sub(lambda found: found[1] + prefix + found[2], head)


def without_cookies(lines: bytes, beginning: bytes) -> bytes:
    """Return fields without the cookies whose name begins so.

    Args:
        lines: each with CRLF before it.
        beginning: of the names.
    """
    return _COOKIES.sub(lambda found: _kept(found[1], beginning), lines)


def _kept(cookies: bytes, beginning: bytes) -> bytes:
    pairs = [pair.strip(b" \t") for pair in cookies.split(b";")]
    kept = [pair for pair in pairs if pair and not pair.startswith(beginning)]
    return b"\r\nCookie: " + b"; ".join(kept) if kept else b""
