"""Answers that the proxy gives itself: error pages, in memory since its start, and the sign of health."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from moorage.errors import ConfigurationError

RETRY_SECONDS = 5
HTTPS_PORT = 443
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{status}: {phrase}</title>
<style>body{{font:16px/1.5 sans-serif;margin:15vh auto;max-width:34em;padding:0 1em}}</style></head>
<body><h1>{status}: {phrase}</h1><p>{text}</p></body></html>
"""
_TEXTS = {
    404: "There is no server at this address. It may have ended.",
    502: "The server behind this address sent no valid response.",
    503: "The server behind this address does not answer now. It may be starting, or have ended.",
    504: "The server behind this address took too long to answer.",
}
HEALTHY = b'{"status": "OK"}'


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def default_page(status: int) -> bytes:
    """Return the page that says an error where no other page is configured."""
    text = _TEXTS.get(status, "The request cannot be served.")
    return _PAGE.format(status=status, phrase=phrase(status), text=text).encode()


def read_pages(folder: Path) -> dict[int, bytes]:
    """Return the error pages of a folder: ``404.html`` and the like by status, ``error.html`` as 0.

    Raises:
        ConfigurationError: it cannot be read.
    """
    pages = {}
    try:
        for path in sorted(folder.iterdir()):
            stem = "0" if path.name == "error.html" else path.stem
            if path.suffix == ".html" and stem.isdecimal() and path.is_file():
                pages[int(stem)] = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the error pages in {folder} cannot be read", why=error.strerror or str(error)
        ) from None
    return pages


def html(page: bytes) -> tuple[bytes, bytes]:
    """Return a page with the lines of fields that say what it is."""
    return b"Content-Type: text/html\r\n", page


def answer(
    status: int,
    pages: Mapping[int, bytes],
    *,
    keep: bool,
    without_body: bool = False,
    page: tuple[bytes, bytes] | None = None,
) -> bytes:
    """Return a whole response that says an error.

    Args:
        status: of the response.
        pages: error pages by status.
        keep: whether the visitor's connection stays open.
        without_body: the request was HEAD.
        page: lines of fields, each with CRLF at its end, and a body that was fetched elsewhere.
    """
    fields, body = page or html(pages.get(status) or pages.get(0) or default_page(status))
    if status == 503:
        fields += b"Retry-After: %d\r\n" % RETRY_SECONDS
    return _whole(status, fields, b"" if without_body else body, keep=keep, length=len(body))


def bare_answer(status: int) -> bytes:
    """Return the response to a request for a websocket that is refused."""
    fields = b"Retry-After: %d\r\n" % RETRY_SECONDS if status == 503 else b""
    return _whole(status, fields, b"", keep=False, length=0)


def health_answer(*, keep: bool, without_body: bool = False) -> bytes:
    """Return the response to ``/_chp_healthz``."""
    fields = b"Content-Type: application/json\r\n"
    return _whole(200, fields, b"" if without_body else HEALTHY, keep=keep, length=len(HEALTHY))


def redirection(method: bytes, location: bytes) -> bytes:
    """Return the response that leads a request elsewhere for good.

    Args:
        method: of the request; any but GET and HEAD is kept (308, RFC 9110, 15.4.9).
        location: the whole address.
    """
    status = 301 if method in {b"GET", b"HEAD"} else 308
    return _whole(status, b"Location: " + location + b"\r\n", b"", keep=False, length=0)


def _whole(status: int, fields: bytes, body: bytes, *, keep: bool, length: int) -> bytes:
    connection = b"keep-alive" if keep else b"close"
    return b"HTTP/1.1 %d %b\r\n%bContent-Length: %d\r\nConnection: %b\r\n\r\n%b" % (
        status,
        phrase(status).encode(),
        fields,
        length,
        connection,
        body,
    )
