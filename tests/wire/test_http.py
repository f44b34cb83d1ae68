"""Heads: what is taken, what is refused, and what two other parsers think of it."""

from __future__ import annotations

import h11
import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.wire.http import HEAD_END, MAX_HEAD, RefusedHead, RequestHead, RequestReader, read_response


def read(head: bytes) -> RequestHead:
    return RequestReader().read(head, head.find(HEAD_END))


def refused(head: bytes) -> int:
    with pytest.raises(RefusedHead) as caught:
        read(head)
    return caught.value.status


def request(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join([start, *([host] if host else []), *lines]) + b"\r\n\r\n"


def test_a_request_of_a_browser() -> None:
    head = read(
        b"GET /user/ann/api/contents?x=1%20 HTTP/1.1\r\nHost: localhost:8000\r\n"
        b"Connection: keep-alive, X-Gone\r\nCookie: a=b; c=d\r\nEmpty:\r\n\r\nrest"
    )
    assert (head.method, head.target, head.plain_path) == (
        b"GET",
        b"/user/ann/api/contents?x=1%20",
        b"/user/ann/api/contents",
    )
    assert head.persistent
    assert not head.websocket
    assert head.fields.host == b"localhost:8000"
    assert head.fields.options == {b"keep-alive", b"x-gone"}
    assert (head.fields.length, head.fields.chunked) == (-1, False)


def test_fields_of_the_last_request_are_remembered_and_others_are_not() -> None:
    reader = RequestReader()
    first, other = request(b"A: 1"), request(b"A: 2")
    one, again = reader.read(first, first.find(HEAD_END)), reader.read(first, first.find(HEAD_END))
    assert one.fields is again.fields
    assert reader.read(other, other.find(HEAD_END)).fields.block.endswith(b"A: 2")


@pytest.mark.parametrize(
    ("target", "plain"),
    [
        (b"/", b"/"),
        (b"/a//b/", b"/a//b/"),
        (b"/a.b/c..d?x=/../", b"/a.b/c..d"),
        (b"/a@b:c;d=e,f!$&'()*+~", b"/a@b:c;d=e,f!$&'()*+~"),
        (b"/a%2fb", None),
        (b"/../a", None),
        (b"/a/.", None),
        (b"/.hidden", None),
        (b"/a\\b", None),
        (b"/\xc3\xa9", None),
        (b"/a|b", None),
    ],
)
def test_a_plain_path_needs_no_closer_look(target: bytes, plain: bytes | None) -> None:
    head = read(request(start=b"GET " + target + b" HTTP/1.1"))
    assert (head.target, head.plain_path) == (target, plain)


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        (b"http://a/x?y", b"/x?y"),
        (b"HTTP://A", b"/"),
        (b"http://a?x", b"/?x"),
    ],
)
def test_an_absolute_target_of_the_same_host_is_a_path(target: bytes, origin: bytes) -> None:
    assert read(request(start=b"GET " + target + b" HTTP/1.1")).target == origin


def test_upgrades_other_than_websocket_are_not_asked_for() -> None:
    assert read(request(b"Connection: Upgrade", b"Upgrade: WebSocket")).websocket
    assert not read(request(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c")).websocket
    assert not read(request(b"Upgrade: websocket")).websocket
    assert not read(request(b"Connection: upgrade", b"Upgrade: websocket", start=b"GET / HTTP/1.0")).websocket


def test_http_1_0_needs_no_host_and_does_not_last() -> None:
    head = read(request(start=b"GET / HTTP/1.0", host=b""))
    assert (head.minor, head.persistent) == (0, False)
    assert not read(request(b"Connection: Close")).persistent


SMUGGLING: dict[str, tuple[bytes, int]] = {
    # PortSwigger's "HTTP request smuggling", and "HTTP Desync Attacks": each in its plainest form.
    "CL.TE": (request(b"Content-Length: 6", b"Transfer-Encoding: chunked"), 400),
    "TE.CL": (request(b"Transfer-Encoding: chunked", b"Content-Length: 4"), 400),
    "two TE": (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), 400),
    "two TE chunked": (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "TE xchunked": (request(b"Transfer-Encoding: xchunked"), 400),
    "TE chunked, identity": (request(b"Transfer-Encoding: chunked, identity"), 400),
    "TE gzip, chunked": (request(b"Transfer-Encoding: gzip, chunked"), 501),
    "TE quoted": (request(b'Transfer-Encoding: "chunked"'), 400),
    "TE with a blank before the colon": (request(b"Transfer-Encoding : chunked"), 400),
    "TE after a tab": (request(b"\tTransfer-Encoding: chunked"), 400),
    "TE folded": (request(b"Transfer-Encoding:", b" chunked"), 400),
    "TE with a vertical tab": (request(b"Transfer-Encoding: \x0bchunked"), 400),
    "TE behind a bare LF": (request(b"X: y\nTransfer-Encoding: chunked"), 400),
    "TE behind a bare CR": (request(b"X: y\rTransfer-Encoding: chunked"), 400),
    "TE empty": (request(b"Transfer-Encoding:"), 400),
    "TE in HTTP/1.0": (request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"), 400),
    "two CL": (request(b"Content-Length: 6", b"Content-Length: 5"), 400),
    "two equal CL": (request(b"Content-Length: 6", b"Content-Length: 6"), 400),
    "CL list": (request(b"Content-Length: 6, 6"), 400),
    "CL with plus": (request(b"Content-Length: +6"), 400),
    "CL negative": (request(b"Content-Length: -6"), 400),
    "CL hexadecimal": (request(b"Content-Length: 0x6"), 400),
    "CL underscore": (request(b"Content-Length: 1_0"), 400),
    "CL of other digits": (request("Content-Length: \u0661".encode()), 400),
    "CL empty": (request(b"Content-Length:"), 400),
    "CL too long": (request(b"Content-Length: " + b"9" * 19), 400),
    "NUL in a value": (request(b"X: a\0b"), 400),
    "NUL in a name": (request(b"X\0: a"), 400),
    "no name": (request(b": a"), 400),
    "no colon": (request(b"X"), 400),
    "no Host": (request(host=b""), 400),
    "two Host": (request(b"Host: b"), 400),
    "two equal Host": (request(b"Host: a"), 400),
    "empty Host": (request(host=b"Host:"), 400),
    "Host with a path": (request(host=b"Host: a/b"), 400),
    "Host with a user": (request(host=b"Host: a@b"), 400),
    "Host list": (request(host=b"Host: a,b"), 400),
    "another host in the target": (request(start=b"GET http://b/ HTTP/1.1"), 400),
    "a user in the target": (request(start=b"GET http://a@b/ HTTP/1.1"), 400),
    "a fragment": (request(start=b"GET /a#b HTTP/1.1"), 400),
    "authority form": (request(start=b"CONNECT a:80 HTTP/1.1"), 501),
    "asterisk form": (request(start=b"OPTIONS * HTTP/1.1"), 400),
    "no path": (request(start=b"GET a HTTP/1.1"), 400),
    "two blanks": (request(start=b"GET  / HTTP/1.1"), 400),
    "a blank in the target": (request(start=b"GET /a b HTTP/1.1"), 400),
    "a blank at the end": (request(start=b"GET / HTTP/1.1 "), 400),
    "a tab": (request(start=b"GET\t/ HTTP/1.1"), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/1.2": (request(start=b"GET / HTTP/1.2"), 505),
    "HTTP/2.0": (b"PRI * HTTP/2.0\r\n\r\n", 505),
    "HTTP/1.10": (request(start=b"GET / HTTP/1.10"), 505),
    "http/1.1": (request(start=b"GET / http/1.1"), 400),
    "a control character in the target": (request(start=b"GET /\x7f HTTP/1.1"), 400),
    "a line feed in the request line": (request(start=b"GET /\n HTTP/1.1"), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", SMUGGLING)
def test_smuggling_is_refused(case: str) -> None:
    head, status = SMUGGLING[case]
    assert refused(head) == status


def test_a_head_that_is_too_long_is_refused() -> None:
    assert refused(request(b"X: " + b"y" * MAX_HEAD)) == 431
    assert read(request(b"X: " + b"y" * (MAX_HEAD - 100)))


TOKENS = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8).map(str.encode)
VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12
)
NAMED = st.sampled_from([b"Content-Length", b"Transfer-Encoding", b"Host", b"Connection", b"Upgrade"])
LINES = st.tuples(
    NAMED | TOKENS,
    st.sampled_from([b":", b": ", b":\t", b" :", b""]),
    st.sampled_from([b"chunked", b"5", b"a", b"close", b"websocket", b"gzip"])
    | VALUES.map(lambda v: v.encode("latin-1")),
).map(b"".join)
STARTS = st.tuples(
    st.sampled_from([b"GET", b"POST", b"M-SEARCH", b"G ET", b""]),
    st.sampled_from([b" ", b"  ", b"\t"]),
    st.sampled_from([b"/", b"/a?b", b"/%zz", b"*", b"http://a/", b"/a#b", b"/\xff"]),
    st.sampled_from([b" HTTP/1.1", b" HTTP/1.0", b" HTTP/1.2", b""]),
).map(b"".join)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n "])
HEADS = st.tuples(STARTS, st.lists(st.tuples(ENDS, LINES).map(b"".join), max_size=6)).map(
    lambda parts: parts[0] + b"\r\nHost: a" + b"".join(parts[1]) + b"\r\n\r\n"
)


def h11_lines(head: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]] | None:
    """What h11 understands, None where it refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2 * MAX_HEAD)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    return event.method, event.target, list(event.headers)


@given(HEADS)
@example(request(b"Transfer-Encoding: \tchunked\t"))
@example(request(b"Content-Length: 5"))
def test_what_is_taken_h11_understands_in_the_same_way(head: bytes) -> None:
    end = head.find(HEAD_END)
    try:
        ours = RequestReader().read(head[: end + 4], end)
    except RefusedHead:
        return
    if b"\xff" in ours.target:
        return  # h11 takes ASCII only; curl sends what a user types
    theirs = h11_lines(head[: end + 4])
    assert theirs is not None
    method, target, fields = theirs
    assert method == ours.method
    assert target.endswith(ours.target) or ours.target == b"/"
    named = {
        name: value for name, value in fields if name in {b"host", b"content-length", b"transfer-encoding"}
    }
    assert named.get(b"host", b"") == ours.fields.host
    assert int(named.get(b"content-length", b"-1")) == ours.fields.length
    assert (named.get(b"transfer-encoding", b"").lower() == b"chunked") == ours.fields.chunked


class Heard:
    """What httptools (llhttp, as Node has it) reports."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.whole = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.whole = True


@given(HEADS)
def test_what_is_taken_llhttp_understands_in_the_same_way(head: bytes) -> None:
    end = head.find(HEAD_END)
    try:
        ours = RequestReader().read(head[: end + 4], end)
    except RefusedHead:
        return
    if ours.method not in {b"GET", b"POST", b"M-SEARCH"} or b"\xff" in ours.target:
        return  # llhttp knows a list of methods, and ASCII in targets
    heard = Heard()
    parser = httptools.HttpRequestParser(heard)
    try:
        parser.feed_data(head[: end + 4])
    except httptools.HttpParserUpgrade:
        assert b"upgrade" in ours.fields.options
    except httptools.HttpParserError:
        # It is stricter about words of Connection and Upgrade; what is refused behind the proxy is refused.
        return
    assert heard.whole
    lengths = [value for name, value in heard.fields if name.lower() == b"content-length"]
    assert [int(value) for value in lengths] == ([ours.fields.length] if ours.fields.length >= 0 else [])


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([start, *lines]) + b"\r\n\r\n"


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.1 200 \xc3\xa4"]
)
def test_status_lines(start: bytes) -> None:
    data = response(b"Content-Length: 3", start=start)
    head = read_response(data, data.find(HEAD_END))
    assert (head.status, head.minor, head.fields.length, head.persistent) == (200, 1, 3, True)


@pytest.mark.parametrize(
    "data",
    [
        response(start=b"HTTP/2 200 OK"),
        response(start=b"HTTP/1.1 20 OK"),
        response(start=b"HTTP/1.1 099 OK"),
        response(start=b"HTTP/1.1  200 OK"),
        response(start=b"ICY 200 OK"),
        response(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        response(b"Content-Length: 3", b"Content-Length: 4"),
        response(b"X: a", b" folded"),
        response(b"X: a\nY: b"),
        response(b"X: " + b"y" * MAX_HEAD),
    ],
)
def test_responses_that_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedHead):
        read_response(data, data.find(HEAD_END))


def test_a_response_that_closes() -> None:
    for data in (response(b"Connection: Keep-Alive, close"), response(start=b"HTTP/1.0 200 OK")):
        assert not read_response(data, data.find(HEAD_END)).persistent
