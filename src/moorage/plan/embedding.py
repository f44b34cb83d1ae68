"""Pages of other sites that run cells in a server of their own: what they send, and what they may read.

Such a page (thebe is one) has no cookie of the server. It names itself by its Origin, which no script can
change, and has a key that was given to it alone, as a Jupyter client has a token: in Authorization, or in the
query of a websocket's address, for browsers send no fields with that.

Source: CORS in the Fetch standard; authentication of jupyter_server by tokens.
"""

from __future__ import annotations

import hmac
import re

import msgspec

from moorage.wire.http import HEAD_END, Fields, RequestHead

_ORIGIN = re.compile(rb"\r\n(?i:origin):[ \t]*+([^\r]*)")
_AUTHORIZATION = re.compile(rb"\r\n(?i:authorization):[ \t]*+(?i:token|bearer)[ \t]++([^\r]*)")
_KEY = re.compile(rb"(?<=[?&])token=([^&]*)(?:&|$)")
_SHARING = re.compile(rb"\r\n(?i:access-control-[a-z-]+):[^\r]*+")


def named_origins(fields: Fields) -> list[bytes]:
    """Return the pages that a request names as those it comes from: one from a browser, or none."""
    return [each.strip(b" \t") for each in _ORIGIN.findall(fields.block)]


class Embedding(msgspec.Struct, frozen=True):
    """What opens a route to pages of other sites.

    Attributes:
        origins: of the pages.
        key: that a page has to send.
    """

    origins: tuple[bytes, ...]
    key: bytes

    def admits(self, head: RequestHead) -> bool:
        """Tell whether a request comes from such a page, with the key."""
        if self.origin(head.fields) is None:
            return False
        given = _AUTHORIZATION.findall(head.fields.block)
        given += _KEY.findall(head.target)
        # Each is compared, and each in the same time: how much of a key is right is not told.
        right = [hmac.compare_digest(each.strip(b" \t"), self.key) for each in given]
        return any(right)

    def asks_ahead(self, head: RequestHead) -> bool:
        """Tell whether a browser asks whether such a page may send what it wants to."""
        return head.method == b"OPTIONS" and self.origin(head.fields) is not None

    def origin(self, fields: Fields) -> bytes | None:
        """Return which of the pages a request names; None where it names none, or several."""
        named = named_origins(fields)
        return named[0] if len(named) == 1 and named[0] in self.origins else None

    def without_key(self, target: bytes) -> bytes:
        """Return the target of a request without the key: a server would take that for a token of its own."""
        kept = _KEY.sub(lambda found: b"" if found[1] == self.key else found[0], target)
        return kept if kept == target else kept.rstrip(b"?&")

    def shared(self, head: bytes, request: Fields) -> bytes:
        """Return the head of a response that the page which asked may read.

        Args:
            head: status line and fields, as the server sent them, without an empty line.
            request: fields of the request.
        """
        origin = self.origin(request)
        if origin is None:
            return head
        head = _SHARING.sub(b"", head)
        return head + b"\r\nAccess-Control-Allow-Origin: " + origin + b"\r\nVary: Origin"

    def shared_answer(self, message: bytes, request: Fields) -> bytes:
        """Return a whole response that the page which asked may read.

        Args:
            message: status line, fields, the empty line, and a body.
            request: fields of the request.
        """
        head, end, body = message.partition(HEAD_END)
        return self.shared(head, request) + end + body
