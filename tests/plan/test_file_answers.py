"""What a request for a file gets."""

from __future__ import annotations

import re

import pytest

from moorage.plan.file_answers import FileFacts, answer_with, file_wishes, takes_gzip
from moorage.wire.http import HEAD_END, RequestHead, RequestReader

PLAIN = FileFacts(b"abc", b"text/plain", 100, fields=b"Cache-Control: x\r\n")
ZIPPED = FileFacts(b"abc", b"text/plain", 40, zipped=True)
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def request(*lines: str, method: str = "GET") -> RequestHead:
    data = "\r\n".join([f"{method} /a HTTP/1.1", "Host: a", *lines, "", ""]).encode()
    return RequestReader().read(data, data.find(HEAD_END))


def answered(
    *lines: str, method: str = "GET", file: FileFacts = PLAIN
) -> tuple[int, dict[str, str], int, int]:
    head = request(*lines, method=method)
    got = answer_with(head, file_wishes(head), file, DATE)
    assert got.head.endswith(b"\r\n\r\n")
    status, *fields = got.head.decode().strip().split("\r\n")
    assert re.fullmatch(rf"HTTP/1\.1 {got.status} [A-Z][A-Za-z ]+", status)
    named = [line.split(": ", 1) for line in fields]
    assert len({name for name, _ in named}) == len(named)
    return got.status, dict(named), got.start, got.end


def test_all_of_it() -> None:
    assert answered() == (
        200,
        {
            "Date": DATE.decode(),
            "ETag": '"abc"',
            "Vary": "Accept-Encoding",
            "Cache-Control": "x",
            "Content-Type": "text/plain",
            "Accept-Ranges": "bytes",
            "Content-Length": "100",
            "Connection": "keep-alive",
        },
        0,
        100,
    )


def test_what_is_compressed_has_a_tag_of_its_own() -> None:
    status, fields, start, end = answered(file=ZIPPED)
    assert (status, fields["ETag"], fields["Content-Encoding"]) == (200, '"abc-gzip"', "gzip")
    assert (fields["Content-Length"], start, end) == ("40", 0, 40)


def test_a_head_has_the_fields_and_no_body() -> None:
    status, fields, start, end = answered(method="HEAD")
    assert (status, fields["Content-Length"], start, end) == (200, "100", 0, 0)
    assert answered("Range: bytes=0-1", method="HEAD")[0] == 200


def test_the_connection_ends_where_it_is_asked_to() -> None:
    assert answered("Connection: close")[1]["Connection"] == "close"


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"abc"', 304),
        ('W/"abc"', 304),
        ('"x", "abc"', 304),
        ('"abc-gzip"', 304),
        ("*", 304),
        ('"x"', 200),
        ('"x-abc"', 200),
        ("abc", 200),
        ('"abc', 200),
    ],
)
@pytest.mark.parametrize("file", [PLAIN, ZIPPED])
def test_what_has_not_changed_is_not_sent(tags: str, status: int, file: FileFacts) -> None:
    got, fields, start, end = answered(f"If-None-Match: {tags}", file=file)
    assert got == status
    if status == 304:
        assert (start, end) == (0, 0)
        assert fields["ETag"] in {'"abc"', '"abc-gzip"'}
        assert fields["ETag"] in tags or tags == "*"
        assert not {"Content-Length", "Content-Type", "Content-Encoding"} & fields.keys()
    assert answered(f"If-None-Match: {tags}", method="HEAD", file=file)[0] == status


def test_tags_in_several_lines() -> None:
    assert answered('If-None-Match: "x"', 'if-none-match: "abc"')[0] == 304


@pytest.mark.parametrize(
    ("part", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("Bytes=10-19", 206, 10, 20),
        ("bytes=90-", 206, 90, 100),
        ("bytes=99-99", 206, 99, 100),
        ("bytes=50-1000", 206, 50, 100),
        ("bytes=-1", 206, 99, 100),
        ("bytes=-1000", 206, 0, 100),
        ("bytes=100-", 416, 0, 0),
        ("bytes=100-200", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=5-4", 200, 0, 100),
        ("bytes=-", 200, 0, 100),
        ("bytes=0-1,5-6", 200, 0, 100),
        ("lines=0-1", 200, 0, 100),
        ("bytes=a-b", 200, 0, 100),
        ("bytes=" + "9" * 30 + "-", 200, 0, 100),
    ],
)
def test_parts(part: str, status: int, start: int, end: int) -> None:
    got, fields, first, last = answered(f"Range: {part}")
    assert (got, first, last) == (status, start, end)
    assert fields["Content-Length"] == str(end - start)
    shown = {206: f"bytes {start}-{end - 1}/100", 416: "bytes */100"}
    assert fields.get("Content-Range") == shown.get(status)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ('"abc"', 206),
        ('"abc-gzip"', 200),
        ('W/"abc"', 200),
        ('"x"', 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ],
)
def test_a_part_of_another_content_is_not_sent(line: str, status: int) -> None:
    assert answered("Range: bytes=0-9", f"If-Range: {line}")[0] == status


def test_a_condition_comes_before_a_part() -> None:
    assert answered("Range: bytes=0-9", 'If-None-Match: "abc"')[0] == 304


@pytest.mark.parametrize(
    ("encodings", "taken"),
    [
        ("gzip, deflate, br, zstd", True),
        ("GZip", True),
        ("x-gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("identity", False),
        ("", False),
        ("gzipped", False),
    ],
)
def test_gzip_is_taken(encodings: str, taken: bool) -> None:
    assert takes_gzip(encodings.encode()) is taken
    assert file_wishes(request(f"Accept-Encoding: {encodings}")).zipped is taken


def test_parts_are_of_what_is_not_compressed() -> None:
    assert not file_wishes(request("Accept-Encoding: gzip", "Range: bytes=0-1")).zipped
