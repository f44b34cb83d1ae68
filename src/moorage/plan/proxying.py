"""What a request becomes when it is sent on, what a response becomes on its way back, what is activity."""

from __future__ import annotations

import re

import msgspec

from moorage.json_types import JsonObject
from moorage.plan.admission import Admission, kept_to_its_host, prefixed, without_cookies
from moorage.plan.page_requests import sent_by_the_page
from moorage.plan.routes import Segments
from moorage.plan.targets import Target
from moorage.wire.http import HEAD_END, Fields, RequestHead, ResponseHead

_HOP_BY_HOP = rb"connection|keep-alive|proxy-connection|proxy-authorization|proxy-authenticate|te|upgrade"
# WSGI servers read X_Forwarded_For as X-Forwarded-For, so the spelling does not get past the proxy either.
_FORWARDED = rb"x[-_]forwarded[-_](?:for|proto|port|host)"
_DROPPED = re.compile(rb"\r\n(?i:" + _HOP_BY_HOP + rb"):[^\r]*+")
_DROPPED_FORWARDED = re.compile(rb"\r\n(?i:" + _HOP_BY_HOP + rb"|" + _FORWARDED + rb"):[^\r]*+")
_FORWARDED_BEFORE = re.compile(rb"\r\n(?i:x-forwarded-(for|proto|port|host)):[ \t]*+([^\r]*)")
_PREFIX_FIELD = frozenset({b"x-forwarded-prefix"})
_HOST_LINE = re.compile(rb"\r\n(?i:host):[^\r]*+")
_LOCATION = re.compile(rb"(\r\n(?i:location):[ \t]*+)(?i:(https?)://([^/?#\r]*))")
_UPGRADE = b"\r\nConnection: Upgrade\r\nUpgrade: websocket"
_REDIRECTS = frozenset({201, 301, 302, 303, 307, 308})
_KEPT = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"close", b"keep-alive", b"upgrade", b""}
)
"""Words of Connection that name no field to drop: without the first three a body would have another end."""


class Forwarding(msgspec.Struct, frozen=True):
    """How requests and responses are changed, as configurable-http-proxy's options of these names say.

    ``custom`` are names and values of fields that stand in the place of the visitor's own.
    """

    include_prefix: bool = True
    prepend_path: bool = True
    x_forward: bool = True
    change_origin: bool = False
    auto_rewrite: bool = False
    protocol_rewrite: bytes = b""
    host_routing: bool = False
    custom: tuple[tuple[bytes, bytes], ...] = ()


class PrefixRoute:
    """One route.

    Args:
        prefix: its segments; with host routing the first one is a host.
        target: where it leads.
        extra: what its author stored with it, ``target`` included, and gets back unchanged.
        now: when it was added, in seconds since the epoch.
        admission: which requests may take it; None for all.
    """

    __slots__ = ("admission", "extra", "last_activity", "last_input", "prefix", "target")

    def __init__(
        self,
        prefix: Segments,
        target: Target,
        extra: JsonObject,
        now: float,
        admission: Admission | None = None,
    ) -> None:
        self.admission = admission
        self.prefix = prefix
        self.target = target
        self.extra = extra
        self.last_activity = now
        self.last_input = now

    @property
    def stripped(self) -> bool:
        """Whether its server knows nothing of the prefix."""
        return self.admission is not None and self.admission.stripped

    @property
    def path(self) -> bytes:
        """Its prefix as it stands in a URL, for segments that need no encoding."""
        return b"".join(b"/" + segment for segment in self.prefix)

    def below(self, head: RequestHead, *, host_routing: bool) -> bytes | None:
        """Return the path of a request below this route; None where it is the prefix, or needs decoding.

        Args:
            head: of a request that takes this route.
            host_routing: whether the first segment of the prefix is a host.
        """
        own = self.prefix[1:] if host_routing else self.prefix
        beginning = b"".join(b"/" + segment for segment in own)
        path = head.plain_path
        if path is None or not path.startswith(beginning + b"/"):
            return None
        return path[len(beginning) :]

    def entered(self, now: float) -> None:
        """Note what only a visitor causes: a websocket's data frame."""
        self.last_activity = self.last_input = now

    def body_came(self, head: RequestHead, now: float) -> None:
        """Note bytes of a request's body: its visitor's input, but for what pages send by themselves."""
        self.last_activity = now
        if not sent_by_the_page(head):
            self.last_input = now

    def answered(self, now: float) -> None:
        """Note the end of a response that is neither a redirect nor an error."""
        self.last_activity = now


def upstream_line(head: RequestHead, route: PrefixRoute, forwarding: Forwarding) -> bytes:
    """Return the first line of the request that is sent on, without its CRLF."""
    target = head.target
    if route.admission is not None and route.admission.pages is not None:
        target = route.admission.pages.without_key(target)
    if not forwarding.include_prefix or route.stripped:
        own = len(route.prefix) - (1 if forwarding.host_routing and route.prefix else 0)
        target = _without(target, own)
    if route.target.path and forwarding.prepend_path:
        target = route.target.path + target
    return b"%b %b HTTP/1.%d" % (head.method, target, head.minor)


def upstream_fields(
    fields: Fields, route: PrefixRoute, forwarding: Forwarding, *, peer: bytes, tls: bool, keep: bool = True
) -> bytes:
    """Return the fields of the request that is sent on, each with CRLF before it.

    Args:
        fields: of the request.
        route: the one that it takes.
        forwarding: how to change them.
        peer: the visitor's address, without a port.
        tls: whether the visitor's connection is encrypted.
        keep: whether the connection behind the proxy may stay open.
    """
    dropped = _DROPPED_FORWARDED if forwarding.x_forward else _DROPPED
    lines = dropped.sub(b"", fields.block)
    lines = _without_fields(lines, fields.options - _KEPT)
    if forwarding.change_origin:
        lines = b"\r\nHost: " + route.target.authority + _HOST_LINE.sub(b"", lines)
    custom = forwarding.custom
    if route.admission is not None:
        custom += route.admission.fields
        if route.admission.withheld:
            lines = without_cookies(lines, route.admission.withheld)
    if custom:
        lines = _without_fields(lines, frozenset(name.lower() for name, _ in custom))
        lines += b"".join(b"\r\n" + name + b": " + value for name, value in custom)
    if route.stripped:
        lines = _without_fields(lines, _PREFIX_FIELD) + b"\r\nX-Forwarded-Prefix: " + route.path
    if forwarding.x_forward:
        lines += _forwarded(fields, peer=peer, tls=tls)
    return lines if keep else lines + b"\r\nConnection: close"


def without_hop_by_hop(fields: Fields) -> bytes:
    """Return the fields of a message, each with CRLF before it, without those of one connection alone.

    Those that say where the body ends stay, whatever Connection names (RFC 9110, 7.6.1).
    """
    return _without_fields(_DROPPED.sub(b"", fields.block), fields.options - _KEPT)


def visitor_head(
    data: bytes,
    end: int,
    head: ResponseHead,
    request: RequestHead,
    route: PrefixRoute | None,
    forwarding: Forwarding,
    *,
    keep: bool,
) -> bytes:
    """Return the head of the response as the visitor gets it, the empty line at its end included.

    Args:
        data: begins with the head as it came.
        end: where its empty line begins.
        head: what it says.
        request: which it answers.
        route: on which; None when it is gone.
        forwarding: how to change it.
        keep: whether the visitor's connection stays open.
    """
    fields = head.fields
    if fields.options or fields.upgrade:
        whole = data[: data.index(b"\r\n")] + without_hop_by_hop(fields)
    else:
        whole = data[:end]
    if head.minor == 0:
        whole = b"HTTP/1.1" + whole[8:]
    if (
        head.status in _REDIRECTS
        and route is not None
        and (forwarding.auto_rewrite or forwarding.protocol_rewrite)
    ):
        whole = _relocated(whole, request, route, forwarding)
    if route is not None and route.stripped:
        whole = prefixed(whole, route.path)
    if route is not None and route.admission is not None:
        if route.admission.own:
            whole = kept_to_its_host(whole)
        if route.admission.pages is not None:
            whole = route.admission.pages.shared(whole, request.fields)
    return whole + (b"\r\nConnection: keep-alive\r\n\r\n" if keep else b"\r\nConnection: close\r\n\r\n")


def upgrade_answer(data: bytes, route: PrefixRoute) -> bytes:
    """Return the response by which a server turns to a websocket, with what came behind it."""
    if route.admission is None or not route.admission.own:
        return data
    head, empty, behind = data.partition(HEAD_END)
    return kept_to_its_host(head) + empty + behind


def _relocated(whole: bytes, request: RequestHead, route: PrefixRoute, forwarding: Forwarding) -> bytes:
    """Return a head whose Location leads to the proxy where it led to the server behind it."""

    def changed(found: re.Match[bytes]) -> bytes:
        if found[3].lower() != route.target.authority:
            return found[0]
        host = request.fields.host if forwarding.auto_rewrite and request.fields.host else found[3]
        return found[1] + (forwarding.protocol_rewrite or found[2]) + b"://" + host

    return _LOCATION.sub(changed, whole, count=1)


def _forwarded(fields: Fields, *, peer: bytes, tls: bool) -> bytes:
    """Return X-Forwarded-For, -Port and -Proto with this hop at their end, and -Host as it was first."""
    before: dict[bytes, bytes] = {}
    for name, value in _FORWARDED_BEFORE.findall(fields.block):
        known = before.get(name.lower())
        before[name.lower()] = value if known is None else known + b"," + value
    _, _, port = fields.host.rpartition(b":")
    if not port.isdigit() or fields.host.endswith(b"]"):
        port = b"443" if tls else b"80"
    hop = {b"for": peer, b"port": port, b"proto": b"https" if tls else b"http"}
    lines = b""
    for name, value in hop.items():
        known = before.get(name)
        lines += b"\r\nX-Forwarded-" + name.title() + b": " + (known + b"," + value if known else value)
    return lines + b"\r\nX-Forwarded-Host: " + (before.get(b"host") or fields.host)


def _without_fields(lines: bytes, names: frozenset[bytes]) -> bytes:
    """Return lines, each with CRLF before it, without those of some fields, whose names are in lower case."""
    if not names:
        return lines
    kept = (line for line in lines.split(b"\r\n") if line.partition(b":")[0].lower() not in names)
    return b"\r\n".join(kept)


def _without(target: bytes, segments: int) -> bytes:
    """Return a path and query without the first segments of the path."""
    path, question, query = target.partition(b"?")
    rest = path.split(b"/", segments + 1)[segments + 1 :]
    return b"/" + (rest[0] if rest else b"") + question + query


class RequestWriter:
    """Writes the requests of one visitor's connection as they are sent on.

    The fields of the last one are remembered: a connection repeats them, and most often takes the same route.

    Args:
        forwarding: how to change them.
        peer: the visitor's address, without a port.
        tls: whether the visitor's connection is encrypted.
    """

    __slots__ = ("_fields", "_forwarding", "_lines", "_peer", "_route", "_tls")

    def __init__(self, forwarding: Forwarding, *, peer: bytes, tls: bool) -> None:
        self._forwarding = forwarding
        self._peer, self._tls = peer, tls
        self._fields: Fields | None = None
        self._route: PrefixRoute | None = None
        self._lines = b""

    def message(self, head: RequestHead, route: PrefixRoute, body: bytes) -> bytes:
        """Return a request as it is sent on.

        Args:
            head: of the request.
            route: the one that it takes.
            body: what has arrived of its body.
        """
        fields = head.fields
        if fields is self._fields and route is self._route and head.minor == 1:
            lines = self._lines
        else:
            keep = head.minor == 1
            lines = upstream_fields(
                fields, route, self._forwarding, peer=self._peer, tls=self._tls, keep=keep
            )
            if keep:
                self._fields, self._route, self._lines = fields, route, lines
        if fields.upgrade and head.websocket:
            lines += _UPGRADE
        return b"%b%b\r\n\r\n%b" % (upstream_line(head, route, self._forwarding), lines, body)
