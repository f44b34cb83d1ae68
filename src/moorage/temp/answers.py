"""Answers of the pages, with the fields that all of them have."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def by_https(request: web.Request) -> bool:
    """Tell whether a visitor has come by HTTPS, as the first proxy on its way says."""
    return request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower() == "https"


def led_to(path: str) -> web.Response:
    """Lead a browser to an address."""
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={**_HEADERS, "Location": path})


def shown(text: str, status: HTTPStatus = HTTPStatus.OK, **more: str) -> web.Response:
    """Show a page."""
    fields = {**_HEADERS, **more}
    return web.Response(text=text, status=status, content_type="text/html", headers=fields)
