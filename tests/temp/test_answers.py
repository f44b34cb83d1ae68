"""Answers of the pages."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from aiohttp.test_utils import make_mocked_request

from moorage.temp.answers import by_https, led_to, shown


@pytest.mark.parametrize(
    ("said", "https"),
    [("https", True), ("HTTPS ,http", True), ("http", False), ("http, https", False), ("", False)],
)
def test_the_first_proxy_says_how_a_visitor_has_come(said: str, https: bool) -> None:
    assert by_https(make_mocked_request("GET", "/", {"X-Forwarded-Proto": said})) is https
    assert not by_https(make_mocked_request("GET", "/"))


def test_no_answer_is_kept_or_framed() -> None:
    for answer in (led_to("/x"), shown("text", HTTPStatus.CONFLICT, X="y")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert led_to("/x").headers["Location"] == "/x"
    page = shown("text", HTTPStatus.CONFLICT, X="y")
    assert (page.status, page.headers["X"], page.content_type) == (409, "y", "text/html")
