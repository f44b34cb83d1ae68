"""What requests and responses become."""

from __future__ import annotations

from typing import Any

import pytest

from moorage.plan.proxying import Forwarding, PrefixRoute, RequestWriter, visitor_head
from moorage.plan.routes import prefix_segments
from moorage.plan.targets import parse_target
from moorage.wire.http import HEAD_END, RequestHead, RequestReader, read_response


def request(*lines: bytes, start: bytes = b"GET /bar/rest?q=/x HTTP/1.1") -> RequestHead:
    data = b"\r\n".join([start, b"Host: visible:8000", *lines]) + b"\r\n\r\n"
    return RequestReader().read(data, data.find(HEAD_END))


def route(path: str = "/bar", target: str = "http://127.0.0.1:9000/foo") -> PrefixRoute:
    return PrefixRoute(prefix_segments(path), parse_target(target), {"target": target}, 1.0)


def sent(
    head: RequestHead, on: PrefixRoute | None = None, *, tls: bool = False, **forwarding: Any
) -> list[bytes]:
    writer = RequestWriter(Forwarding(**forwarding), peer=b"10.0.0.7", tls=tls)
    message = writer.message(head, on or route(), b"BODY")
    assert message.endswith(b"\r\n\r\nBODY")
    return message[: -len(b"\r\n\r\nBODY")].split(b"\r\n")


@pytest.mark.parametrize(
    ("forwarding", "line"),
    [
        ({}, b"GET /foo/bar/rest?q=/x HTTP/1.1"),
        ({"prepend_path": False}, b"GET /bar/rest?q=/x HTTP/1.1"),
        ({"include_prefix": False}, b"GET /foo/rest?q=/x HTTP/1.1"),
        ({"include_prefix": False, "prepend_path": False}, b"GET /rest?q=/x HTTP/1.1"),
    ],
)
def test_prefix_and_path(forwarding: dict[str, Any], line: bytes) -> None:
    assert sent(request(), **forwarding)[0] == line


@pytest.mark.parametrize(
    ("prefix", "target", "line"),
    [
        ("/bar", b"/bar", b"GET / HTTP/1.1"),
        ("/bar", b"/bar?x", b"GET /?x HTTP/1.1"),
        ("/bar", b"/bar/", b"GET / HTTP/1.1"),
        ("/b@r/b r", b"/b%40r/b%20r/rest", b"GET /rest HTTP/1.1"),
        ("/", b"/any", b"GET /any HTTP/1.1"),
    ],
)
def test_the_prefix_left_out_is_what_came(prefix: str, target: bytes, line: bytes) -> None:
    head = request(start=b"GET " + target + b" HTTP/1.1")
    assert sent(head, route(prefix, "http://a"), include_prefix=False)[0] == line


def test_with_host_routing_the_host_is_no_part_of_the_path() -> None:
    head = request(start=b"GET /some/path HTTP/1.1")
    on = route("/visible/some", "http://a")
    assert sent(head, on, include_prefix=False, host_routing=True)[0] == b"GET /path HTTP/1.1"
    assert sent(head, on, host_routing=True)[0] == b"GET /some/path HTTP/1.1"


def test_fields_of_one_hop_are_not_sent_on() -> None:
    lines = sent(
        request(
            b"Connection: keep-alive, X-Gone, Content-Length, host",
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: x",
            b"Proxy-Authorization: x",
            b"TE: trailers",
            b"Upgrade: h2c",
            b"X-Gone: x",
            b"x-gone: y",
            b"X-Stays: x",
            b"Content-Length: 4",
        ),
        x_forward=False,
    )
    assert lines[1:] == [b"Host: visible:8000", b"X-Stays: x", b"Content-Length: 4"]


def test_many_words_of_connection_take_no_time() -> None:
    words = b", ".join(b"w%d" % number for number in range(9000))
    assert sent(request(b"Connection: " + words), x_forward=False)[1:] == [b"Host: visible:8000"]


def test_a_websocket_is_asked_for() -> None:
    lines = sent(
        request(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x"), x_forward=False
    )
    assert lines[1:] == [
        b"Host: visible:8000",
        b"Sec-WebSocket-Key: x",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
    ]


def test_x_forwarded() -> None:
    assert sent(request())[2:] == [
        b"X-Forwarded-For: 10.0.0.7",
        b"X-Forwarded-Port: 8000",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: visible:8000",
    ]


def test_x_forwarded_behind_another_proxy() -> None:
    head = request(
        b"x-forwarded-for: 1.2.3.4",
        b"X-Forwarded-For: 5.6.7.8",
        b"X_Forwarded_For: forged",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Port: 443",
        b"X-Forwarded-Host: public",
    )
    assert sent(head, tls=True)[2:] == [
        b"X-Forwarded-For: 1.2.3.4,5.6.7.8,10.0.0.7",
        b"X-Forwarded-Port: 443,8000",
        b"X-Forwarded-Proto: https,https",
        b"X-Forwarded-Host: public",
    ]


def test_the_port_of_a_host_that_names_none() -> None:
    data = b"GET /bar HTTP/1.1\r\nHost: [::1]\r\n\r\n"
    head = RequestReader().read(data, data.find(HEAD_END))
    assert b"X-Forwarded-Port: 443" in sent(head, tls=True)
    assert b"X-Forwarded-Port: 80" in sent(head)


def test_origin_and_custom_fields() -> None:
    lines = sent(
        request(b"X-K: mine", b"Host-Not: a"),
        change_origin=True,
        x_forward=False,
        custom=((b"x-k", b"v"), (b"Z", b"w")),
    )
    assert lines[1:] == [b"Host: 127.0.0.1:9000", b"Host-Not: a", b"x-k: v", b"Z: w"]


def test_fields_are_remembered_for_the_same_fields_and_route_only() -> None:
    writer = RequestWriter(Forwarding(change_origin=True), peer=b"10.0.0.7", tls=False)
    head, one, other = request(), route(), route(target="http://other")
    first = writer.message(head, one, b"")
    assert writer.message(head, one, b"") == first
    assert b"Host: other\r\n" in writer.message(head, other, b"")
    assert b"X-New" in writer.message(request(b"X-New: 1"), one, b"")
    old = writer.message(request(start=b"GET /bar HTTP/1.0"), one, b"")
    assert old.startswith(b"GET /foo/bar HTTP/1.0\r\n")
    assert old.endswith(b"\r\nConnection: close\r\n\r\n")
    assert writer.message(head, one, b"") == first


def back(
    *lines: bytes, start: bytes = b"HTTP/1.1 200 OK", keep: bool = True, **forwarding: Any
) -> list[bytes]:
    data = b"\r\n".join([start, *lines]) + b"\r\n\r\nBODY"
    end = data.find(HEAD_END)
    head = visitor_head(
        data, end, read_response(data, end), request(), route(), Forwarding(**forwarding), keep=keep
    )
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


def test_a_response_on_its_way_back() -> None:
    assert back(b"Content-Length: 4") == [b"HTTP/1.1 200 OK", b"Content-Length: 4", b"Connection: keep-alive"]
    assert back(
        b"Connection: close, X-Gone", b"X-Gone: x", b"Upgrade: h2", b"Keep-Alive: 5", b"A: b", keep=False
    ) == [
        b"HTTP/1.1 200 OK",
        b"A: b",
        b"Connection: close",
    ]
    assert back(start=b"HTTP/1.0 200 OK")[0] == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("location", "forwarding", "changed"),
    [
        (b"http://127.0.0.1:9000/w", {}, b"http://127.0.0.1:9000/w"),
        (b"http://127.0.0.1:9000/w", {"auto_rewrite": True}, b"http://visible:8000/w"),
        (
            b"https://127.0.0.1:9000/w?x",
            {"auto_rewrite": True, "protocol_rewrite": b"https"},
            b"https://visible:8000/w?x",
        ),
        (b"http://127.0.0.1:9000", {"protocol_rewrite": b"https"}, b"https://127.0.0.1:9000"),
        (b"http://foo.com:12345/w", {"auto_rewrite": True}, b"http://foo.com:12345/w"),
        (b"/w", {"auto_rewrite": True}, b"/w"),
    ],
)
def test_redirects(location: bytes, forwarding: dict[str, Any], changed: bytes) -> None:
    lines = back(b"Location: " + location, start=b"HTTP/1.1 302 Found", **forwarding)
    assert lines[1] == b"Location: " + changed
    other = back(b"Location: " + location, **forwarding)
    assert other[1] == b"Location: " + location, "200 is no redirect"


def test_activity() -> None:
    on = route()
    on.answered(2.0)
    assert (on.last_activity, on.last_input) == (2.0, 1.0)
    on.entered(3.0)
    assert (on.last_activity, on.last_input) == (3.0, 3.0)
    on.body_came(request(start=b"PUT /bar/api/contents/a.ipynb HTTP/1.1"), 4.0)
    assert (on.last_activity, on.last_input) == (4.0, 4.0)
    on.body_came(request(start=b"PUT /bar/lab/api/workspaces/default HTTP/1.1"), 5.0)
    assert (on.last_activity, on.last_input) == (5.0, 4.0)
