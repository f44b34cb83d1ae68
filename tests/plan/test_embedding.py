"""Which requests of pages of other sites may take a route, and what they may read."""

from __future__ import annotations

import pytest

from moorage.plan.admission import Admission
from moorage.plan.embedding import Embedding
from moorage.plan.proxying import Forwarding, PrefixRoute, RequestWriter
from moorage.plan.targets import parse_target
from plan.test_proxying import request

SITE = b"Origin: https://docs.example.org"
KEY = b"Authorization: token right"
PAGES = Embedding((b"https://docs.example.org", b"http://localhost:3000"), b"right")
ADMISSION = Admission(b"c=1", ((b"Authorization", b"token its-own"),), b"moorage-", pages=PAGES)
WEBSOCKET = (b"Connection: Upgrade", b"Upgrade: websocket")


def asked(target: bytes, *lines: bytes) -> object:
    return request(*lines, start=b"GET " + target + b" HTTP/1.1")


@pytest.mark.parametrize(
    ("target", "lines", "admitted"),
    [
        (b"/a", (SITE, KEY), True),
        (b"/a", (SITE, b"authorization: Bearer  right "), True),
        (b"/a", (b"Origin: http://localhost:3000", KEY), True),
        (b"/a?token=right", (SITE, *WEBSOCKET), True),
        (b"/a?x=1&token=right&y=2", (SITE, *WEBSOCKET), True),
        (b"/a", (KEY,), False),
        (b"/a", (SITE,), False),
        (b"/a", (b"Origin: https://docs.example.org.evil", KEY), False),
        (b"/a", (b"Origin: null", KEY), False),
        (b"/a", (SITE, b"Origin: https://evil", KEY), False),
        (b"/a", (SITE, SITE, KEY), False),
        (b"/a", (SITE, b"Authorization: token right2"), False),
        (b"/a", (SITE, b"Authorization: Basic right"), False),
        (b"/a", (SITE, b"X-Authorization: token right"), False),
        (b"/a?token=", (SITE,), False),
        (b"/a?atoken=right", (SITE,), False),
        (b"/a?token=its-own", (SITE,), False),
        (b"/token=right", (SITE,), False),
    ],
)
def test_a_named_page_with_its_key_is_let_in(target: bytes, lines: tuple[bytes, ...], admitted: bool) -> None:
    assert ADMISSION.admits(asked(target, *lines)) is admitted


@pytest.mark.parametrize("lines", [(SITE, KEY), (SITE, b"Cookie: c=1")])
def test_without_pages_nothing_but_the_cookie_opens(lines: tuple[bytes, ...]) -> None:
    assert not Admission(b"c=1").admits(request(*lines, start=b"POST /a HTTP/1.1"))


def test_a_browser_asks_ahead_for_named_pages_alone() -> None:
    start = b"OPTIONS /a HTTP/1.1"
    assert ADMISSION.asks_ahead(request(SITE, start=start))
    assert not ADMISSION.asks_ahead(request(b"Origin: https://evil", start=start))
    assert not ADMISSION.asks_ahead(request(SITE))
    assert not Admission(b"c=1").asks_ahead(request(SITE, start=start))


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"/a?token=right", b"/a"),
        (b"/a?x=1&token=right", b"/a?x=1"),
        (b"/a?token=right&x=1", b"/a?x=1"),
        (b"/a?x=1&token=right&y=2", b"/a?x=1&y=2"),
        (b"/a?token=other", b"/a?token=other"),
        (b"/a?x=token=right", b"/a?x=token=right"),
        (b"/a", b"/a"),
    ],
)
def test_the_server_gets_its_own_token_and_never_the_key(target: bytes, sent: bytes) -> None:
    route = PrefixRoute((), parse_target("http://a"), {}, 0.0, ADMISSION)
    message = RequestWriter(Forwarding(), peer=b"p", tls=False).message(asked(target, SITE, KEY), route, b"")
    lines = message.split(b"\r\n")
    assert lines[0] == b"GET " + sent + b" HTTP/1.1"
    assert [line for line in lines if line.startswith(b"Authorization")] == [b"Authorization: token its-own"]


def test_what_a_page_may_read_is_said_once_and_for_it_alone() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\naccess-control-allow-credentials: true\r\nA: b"
    )
    shared = PAGES.shared(head, request(SITE).fields)
    assert shared == (
        b"HTTP/1.1 200 OK\r\nA: b\r\nAccess-Control-Allow-Origin: https://docs.example.org\r\nVary: Origin"
    )
    assert PAGES.shared(head, request(b"Origin: https://evil").fields) == head


def test_an_answer_of_the_proxys_own_can_be_read_by_the_page_that_asked() -> None:
    own = b"HTTP/1.1 503 x\r\nA: b\r\n\r\nbody\r\n\r\nAccess-Control-Allow-Origin: c"
    head = b"HTTP/1.1 503 x\r\nA: b\r\nAccess-Control-Allow-Origin: https://docs.example.org\r\nVary: Origin"
    assert PAGES.shared_answer(own, request(SITE).fields) == head + own[own.index(b"\r\n\r\n") :]
    assert PAGES.shared_answer(own, request().fields) == own
