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

from moorage.plan.embedding import Embedding, named_origins
from moorage.wire.http import Fields, RequestHead

_COOKIES = re.compile(rb"\r\n(?i:cookie):[ \t]*+([^\r]*)")
_MODE = re.compile(rb"\r\n(?i:sec-fetch-mode):[ \t]*+([^\r]*)")
_LOCATION = re.compile(rb"(\r\n(?i:location):[ \t]*+)(/(?!/)[^\r]*)")
_COOKIE_PATH = re.compile(rb"(\r\n(?i:set-cookie):[^\r]*?;[ \t]*(?i:path)=)(/[^;\r]*)")
_SET_COOKIE = re.compile(rb"\r\n(?i:set-cookie):[^\r]*+")
_DOMAIN = re.compile(rb";[ \t]*(?i:domain)[ \t]*(?:=[^;\r]*+)?(?=;|$)")
_CLEARING = re.compile(rb"\r\n(?i:clear-site-data):[^\r]*+")
_PROTOCOL = re.compile(rb"\r\n(?i:x-forwarded-proto):[ \t]*([^\r,]*)")
_SITE = re.compile(rb"\r\n(?i:sec-fetch-site):[ \t]*(?i:cross-site|same-site)[ \t]*(?=\r|$)")
_DOCUMENT = re.compile(rb"\r\n(?i:sec-fetch-dest):[ \t]*(?i:document)[ \t]*(?=\r|$)")
HOST_ONLY = "__Host-"
"""How names of cookies begin that a host sets for itself alone, by HTTPS."""
_HOST_ONLY = HOST_ONLY.encode()
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Admission(msgspec.Struct, frozen=True):
    """What opens a route.

    Attributes:
        cookie: name and value, as ``NAME=VALUE``.
        fields: names and values of fields that stand in the place of the visitor's own.
        withheld: cookies whose name begins so are not sent on.
        stripped: the route's prefix is left out of requests, and put before what responses lead to: for
            applications that cannot be told where they are served.
        own: beginning of the paths that lead to the route ``/``, where the route is a host of its own; empty
            where it is not.
        pages: of other sites that may take the route, too; None for none.
    """

    cookie: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()
    withheld: bytes = b""
    stripped: bool = False
    own: bytes = b""
    pages: Embedding | None = None

    def admits(self, head: RequestHead) -> bool:
        """Tell whether a request may take the route."""
        return (self.pages is not None and self.pages.admits(head)) or self._admits_visitor(head)

    def asks_ahead(self, head: RequestHead) -> bool:
        """Tell whether a browser asks whether a page of another site may take the route."""
        return self.pages is not None and self.pages.asks_ahead(head)

    def _admits_visitor(self, head: RequestHead) -> bool:
        block = head.fields.block
        cookie = self.cookie
        if self.own:
            if _SITE.search(block) and not _DOCUMENT.search(block):
                return False
            cookie = _HOST_ONLY + cookie if by_https(head.fields) else cookie
        found = False
        for line in _COOKIES.findall(block):
            for pair in line.split(b";"):
                # Each is compared, and each in the same time: how much of a cookie is right is not told.
                found = hmac.compare_digest(pair.strip(b" \t"), cookie) or found
        return found and ((head.method in _SAFE and not head.websocket) or same_host(head.fields))


def by_https(fields: Fields) -> bool:
    """Tell whether a visitor has come by HTTPS, as the first proxy on its way says."""
    found = _PROTOCOL.search(fields.block)
    return found is not None and found[1].strip(b" \t").lower() == b"https"


def same_host(fields: Fields) -> bool:
    """Tell whether a request comes from a page of the host that it goes to, or from no page at all."""
    origins = named_origins(fields)
    return all(each.rpartition(b"//")[2].lower() == fields.host.lower() for each in origins)


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


def kept_to_its_host(head: bytes) -> bytes:
    """Return the head of a response that sets and clears cookies for no other host than its own.

    Args:
        head: status line and fields, as a server sent them.
    """
    return _SET_COOKIE.sub(lambda found: _DOMAIN.sub(b"", found[0]), _CLEARING.sub(b"", head))


def without_cookies(lines: bytes, beginning: bytes) -> bytes:
    """Return fields without the cookies whose name begins so, also after ``__Host-``.

    Args:
        lines: each with CRLF before it.
        beginning: of the names.
    """
    return _COOKIES.sub(lambda found: _kept(found[1], beginning), lines)


def _kept(cookies: bytes, beginning: bytes) -> bytes:
    pairs = [pair.strip(b" \t") for pair in cookies.split(b";")]
    kept = [pair for pair in pairs if pair and not pair.removeprefix(_HOST_ONLY).startswith(beginning)]
    return b"\r\nCookie: " + b"; ".join(kept) if kept else b""
