"""Answers of the admin interface: JSON, refusals too."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web

from moorage.wire.temp_admin import Refused, encode


def json_answer(message: msgspec.Struct, status: int = HTTPStatus.OK) -> web.Response:
    """Return a message as an answer."""
    return web.Response(body=encode(message), status=status, content_type="application/json")


def refused(status: int, why: str) -> web.Response:
    """Return the answer to a request that is not carried out."""
    return json_answer(Refused(why), status)
