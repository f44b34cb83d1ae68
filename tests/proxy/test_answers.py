"""The proxy's own answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.errors import ConfigurationError
from moorage.proxy.answers import answer, bare_answer, default_page, health_answer, phrase, read_pages
from moorage.wire.http import HEAD_END, read_response


def parts(data: bytes) -> tuple[int, bytes, bytes]:
    end = data.find(HEAD_END)
    head = read_response(data, end)
    return head.status, data[:end], data[end + 4 :]


def test_a_page_says_its_status() -> None:
    status, head, body = parts(answer(404, {}, keep=True))
    assert (status, body) == (404, default_page(404))
    assert b"404: Not Found" in body
    assert b"Content-Length: %d" % len(body) in head
    assert b"Connection: keep-alive" in head
    assert parts(answer(404, {}, keep=False, without_body=True))[2] == b""


def test_only_503_says_when_to_come_again() -> None:
    assert b"Retry-After: 5" in answer(503, {}, keep=True)
    assert b"Retry-After" not in answer(502, {}, keep=True)
    assert b"Retry-After" in bare_answer(503)


def test_pages_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text("'D")
    (tmp_path / "error.html").write_text("UNKNOWN")
    (tmp_path / "style.css").write_text("x")
    (tmp_path / "notes.html").write_text("x")
    pages = read_pages(tmp_path)
    assert pages == {404: b"'D", 0: b"UNKNOWN"}
    assert parts(answer(404, pages, keep=True))[2] == b"'D"
    assert parts(answer(503, pages, keep=True))[2] == b"UNKNOWN"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_pages(tmp_path / "nowhere")


def test_health_and_phrases() -> None:
    assert parts(health_answer(keep=True))[2] == b'{"status": "OK"}'
    assert parts(health_answer(keep=False, without_body=True))[2] == b""
    assert (phrase(431), phrase(599)) == ("Request Header Fields Too Large", "Error")
