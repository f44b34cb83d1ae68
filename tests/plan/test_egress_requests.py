"""Requests to a forward proxy: what is asked for, what is sent on, what is tried to get something else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.plan.egress_requests import MAX_HEAD, ForwardRequest, answer, read_forward_request
from moorage.wire.http import HEAD_END, RefusedHead
from moorage.wire.http_body import ChunkedBody, LengthBody


def read(data: bytes) -> ForwardRequest:
    return read_forward_request(data, data.find(HEAD_END))


def refused(data: bytes) -> int:
    with pytest.raises(RefusedHead) as caught:
        read(data)
    return caught.value.status


def test_a_tunnel() -> None:
    found = read(
        b"CONNECT PyPI.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\nProxy-Authorization: x\r\n\r\nearly"
    )
    assert found == ForwardRequest("pypi.org", 443)
    assert read(b"CONNECT 10.0.0.5:80 HTTP/1.0\r\n\r\n").host == IPv4Address("10.0.0.5")
    assert read(b"CONNECT [::1]:80 HTTP/1.1\r\n\r\n").host == IPv6Address("::1")


def test_a_plain_request_is_sent_on_as_its_host_gets_it() -> None:
    found = read(
        b"GET http://Example.org:8080/a?b=c HTTP/1.1\r\nHost: other.example\r\nAccept: */*\r\nX-A: 1\r\n"
        b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nConnection: keep-alive, X-A\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: x\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert (found.host, found.port) == ("example.org", 8080)
    assert found.message == (
        b"GET /a?b=c HTTP/1.1\r\nHost: example.org:8080\r\nAccept: */*\r\nHTTP2-Settings: x\r\n"
        b"Content-Length: 3\r\nConnection: close\r\n\r\n"
    )
    assert isinstance(found.body, LengthBody)


@pytest.mark.parametrize(
    ("target", "line", "host"),
    [
        (b"http://a.org", b"GET / HTTP/1.1", b"a.org"),
        (b"http://a.org:80/", b"GET / HTTP/1.1", b"a.org"),
        (b"http://a.org:/", b"GET / HTTP/1.1", b"a.org"),
        (b"HTTP://a.org?x", b"GET /?x HTTP/1.1", b"a.org"),
        (b"http://A.org.//b", b"GET //b HTTP/1.1", b"a.org"),
        (b"http://[2001:DB8::1]:81/", b"GET / HTTP/1.1", b"[2001:db8::1]:81"),
    ],
)
def test_targets(target: bytes, line: bytes, host: bytes) -> None:
    found = read(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert found.message == line + b"\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"


def test_a_body_in_chunks() -> None:
    found = read(b"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert isinstance(found.body, ChunkedBody)


@pytest.mark.parametrize(
    "line",
    [
        b"CONNECT pypi.org HTTP/1.1",
        b"CONNECT pypi.org: HTTP/1.1",
        b"CONNECT pypi.org:0 HTTP/1.1",
        b"CONNECT pypi.org:65536 HTTP/1.1",
        b"CONNECT pypi.org:443:80 HTTP/1.1",
        b"CONNECT user@pypi.org:443 HTTP/1.1",
        b"CONNECT pypi.org:443@evil.com:443 HTTP/1.1",
        b"CONNECT pypi.org:443/ HTTP/1.1",
        b"CONNECT  pypi.org:443 HTTP/1.1",
        b"CONNECT pypi.org:443\tx HTTP/1.1",
        b"CONNECT pypi.org:443 evil.com:443 HTTP/1.1",
        b"CONNECT pypi.org\x00.evil.com:443 HTTP/1.1",
        b"CONNECT p\xc3\xbcpi.org:443 HTTP/1.1",
        b"CONNECT 0x7f.1:443 HTTP/1.1",
        b"CONNECT 127.1:443 HTTP/1.1",
        b"CONNECT [::1%25lo]:443 HTTP/1.1",
        b"CONNECT [::1:443 HTTP/1.1",
        b"CONNECT http://pypi.org/ HTTP/1.1",
        b"connect pypi.org:443 HTTP/1.1",
        b"GET http://user@pypi.org/ HTTP/1.1",
        b"GET http://user:password@pypi.org/ HTTP/1.1",
        b"GET http://pypi.org\\@evil.com/ HTTP/1.1",
        b"GET http://pypi.org#@evil.com/ HTTP/1.1",
        b"GET http:///pypi.org HTTP/1.1",
        b"GET http:pypi.org HTTP/1.1",
        b"GET http://2130706433/ HTTP/1.1",
        b"GET http://a/#b HTTP/1.1",
        b"GET https://pypi.org/ HTTP/1.1",
        b"GET ftp://pypi.org/ HTTP/1.1",
        b"GET / HTTP/1.1",
        b"GET pypi.org:80 HTTP/1.1",
        b"G\x00T http://pypi.org/ HTTP/1.1",
        b"\x16\x03\x01\x02\x00",
        b"",
    ],
)
def test_what_names_no_host_is_refused(line: bytes) -> None:
    assert refused(line + b"\r\nHost: pypi.org\r\n\r\n") == 400


def test_another_version_is_refused() -> None:
    assert refused(b"CONNECT pypi.org:443 HTTP/2.0\r\n\r\n") == 505


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 0\r\nContent-Length: 5",
        b"Host: a\r\nHost: b",
        b" folded: x",
        b"Host : a",
        b"X: a\nHost: b",
        b"X: a\rb",
        b"X: a\x00b",
    ],
)
def test_a_tunnel_with_two_ends_is_refused(lines: bytes) -> None:
    assert refused(b"CONNECT pypi.org:443 HTTP/1.1\r\n" + lines + b"\r\n\r\n") == 400


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: xchunked",
        b"Content-Length: +5",
        b"X: a\r\n b: c",
    ],
)
def test_a_body_with_two_ends_is_refused(lines: bytes) -> None:
    assert refused(b"POST http://a/ HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n") in {400, 501}


def test_chunks_of_http_1_0_are_refused() -> None:
    assert refused(b"POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400


def test_what_connection_names_does_not_take_the_end_of_the_body_away() -> None:
    found = read(b"POST http://a/ HTTP/1.1\r\nConnection: Content-Length, Host\r\nContent-Length: 5\r\n\r\n")
    assert b"\r\nContent-Length: 5\r\n" in found.message


def test_a_head_that_is_too_long() -> None:
    assert refused(b"CONNECT a:443 HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n") == 431


@given(
    st.sampled_from([b"GET", b"POST", b"PUT"]),
    st.from_regex(rb"[a-z]{1,9}(\.[a-z]{1,9})?(:[1-9][0-9]{0,3})?", fullmatch=True),
    st.from_regex(rb"(/[!-\"$-~]{0,9})?(\?[!-\"$-~]{0,9})?", fullmatch=True),
    st.lists(st.from_regex(rb"X-[A-Za-z0-9]{1,5}: ?[ -~]{0,9}", fullmatch=True), max_size=4),
    st.sampled_from([b"", b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"]),
)
@example(b"GET", b"a", b"", [b"X-a: "], b"")
def test_another_parser_finds_one_request_with_that_host(
    method: bytes, host: bytes, rest: bytes, lines: list[bytes], framing: bytes
) -> None:
    block = b"".join(line + b"\r\n" for line in lines) + framing
    data = method + b" http://" + host + rest + b" HTTP/1.1\r\nHost: evil.com\r\n" + block + b"\r\n"
    found = read(data)
    oracle = h11.Connection(h11.SERVER)
    oracle.receive_data(
        found.message + (b"0\r\n\r\n" if framing.startswith(b"T") else b"ab" if framing else b"")
    )
    request = oracle.next_event()
    assert isinstance(request, h11.Request)
    sent = host.removesuffix(b":80")
    assert [value for name, value in request.headers if name == b"host"] == [sent]
    assert request.method == method
    assert request.target == (rest if rest.startswith(b"/") else b"/" + rest)
    events = [oracle.next_event() for _ in range(1 if not framing or framing.startswith(b"T") else 2)]
    assert isinstance(events[-1], h11.EndOfMessage)


def test_an_answer_says_it_in_its_first_line_too() -> None:
    said = answer(403, "evil.com cannot be reached")
    assert said.startswith(b"HTTP/1.1 403 evil.com cannot be reached\r\n")
    assert said.endswith(b"\r\n\r\nevil.com cannot be reached\n")
    assert b"\r\nContent-Length: 27\r\n" in said
    assert b"\r\nConnection: close\r\n" in said


def test_an_answer_has_one_first_line_and_a_short_one() -> None:
    said = answer(502, "a\r\nSet-Cookie: b\x00é" + "x" * 9999)
    line, _, rest = said.partition(b"\r\n")
    assert line.startswith(b"HTTP/1.1 502 a  Set-Cookie: b ?xxx")
    assert len(line) < 600
    assert b"Set-Cookie" not in rest.partition(b"\r\n\r\n")[0]
