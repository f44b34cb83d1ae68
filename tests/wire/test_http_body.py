"""Where bodies end, however they arrive."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.wire.http import HEAD_END, RefusedHead, RequestReader, read_response
from moorage.wire.http_body import (
    MAX_LINE,
    MAX_TRAILERS,
    Body,
    ChunkedBody,
    EndlessBody,
    LengthBody,
    request_body,
    response_body,
)


def taken(body: Body, data: bytes, sizes: list[int]) -> int:
    """Feed ``data`` in pieces; return how many of its bytes the body took."""
    at, count = 0, 0
    while at < len(data) and not body.done:
        size = sizes[count % len(sizes)] if sizes else len(data)
        piece = data[at : at + size]
        upto = body.take(piece)
        at, count = at + upto, count + 1
        if upto < len(piece):
            break
    return at


def of_request(*lines: bytes) -> Body | None:
    data = b"\r\n".join([b"POST / HTTP/1.1", b"Host: a", *lines]) + b"\r\n\r\n"
    return request_body(RequestReader().read(data, data.find(HEAD_END)))


def of_response(status: int, *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> Body | None:
    data = b"\r\n".join([b"HTTP/%b %d x" % (version, status), *lines]) + b"\r\n\r\n"
    return response_body(read_response(data, data.find(HEAD_END)), method)


def test_which_body_a_request_has() -> None:
    assert of_request() is None
    assert of_request(b"Content-Length: 0") is None
    assert isinstance(of_request(b"Content-Length: 5"), LengthBody)
    assert isinstance(of_request(b"Transfer-Encoding: chunked"), ChunkedBody)


def test_which_body_a_response_has() -> None:
    assert isinstance(of_response(200), EndlessBody)
    assert isinstance(of_response(200, b"Content-Length: 5"), LengthBody)
    assert isinstance(of_response(404, b"Transfer-Encoding: chunked"), ChunkedBody)
    assert of_response(200, b"Content-Length: 0") is None
    for status in (204, 304):
        assert of_response(status, b"Content-Length: 5") is None
    assert of_response(200, b"Content-Length: 5", method=b"HEAD") is None
    assert of_response(200, b"Transfer-Encoding: chunked", method=b"HEAD") is None
    with pytest.raises(RefusedHead):
        of_response(200, b"Transfer-Encoding: chunked", version=b"1.0")


@given(st.integers(0, 40), st.lists(st.integers(1, 9), max_size=5))
def test_a_length_is_kept(length: int, sizes: list[int]) -> None:
    body = LengthBody(length)
    assert taken(body, b"x" * 50, sizes) == length
    assert body.done


def test_an_endless_body_takes_everything() -> None:
    body = EndlessBody()
    assert taken(body, b"x" * 50, [7]) == 50
    assert not body.done


CHUNKS = st.lists(st.binary(min_size=1, max_size=300), max_size=5)
EXTENSIONS = st.sampled_from([b"", b";a", b"; a=b", b';a="b c"'])
TRAILERS = st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ:\r\n"])


@given(CHUNKS, EXTENSIONS, TRAILERS, st.lists(st.integers(1, 40), max_size=5))
def test_chunks_end_where_h11_ends_them(
    chunks: list[bytes], extension: bytes, trailers: bytes, sizes: list[int]
) -> None:
    data = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    data += b"0\r\n" + trailers + b"\r\n"
    body = ChunkedBody()
    assert taken(body, data + b"GET /next", sizes) == len(data)
    assert body.done

    connection = h11.Connection(h11.SERVER)
    connection.receive_data(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data + b"GET /next"
    )
    heard = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        heard += bytes(event.data) if isinstance(event, h11.Data) else b""
    assert heard == b"".join(chunks)
    assert connection.trailing_data[0] == b"GET /next"


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1 ;a\r\n",
        b"1\n",
        b"1\r\r\n",
        b"1;a\nb\r\n",
        b"1;\0\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\na\rb",
        b"f" * 16 + b"\r\n",
        b"1;" + b"a" * MAX_LINE,
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTransfer-Encoding: x\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\n" + b"X: " + b"y" * 2000 + b"\r\n" + (b"X: " + b"y" * 2000 + b"\r\n") * (MAX_TRAILERS // 2000),
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_what_are_no_chunks_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(RefusedHead):
        taken(ChunkedBody(), data, [size])


def test_a_body_may_begin_behind_a_head() -> None:
    assert LengthBody(3).take(b"head|abcrest", 5) == 8
    assert ChunkedBody().take(b"head|0\r\n\r\nrest", 5) == 10
