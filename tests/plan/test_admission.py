"""Which requests may take a visitor's route."""

from __future__ import annotations

import pytest

from moorage.plan.admission import (
    Admission,
    by_https,
    kept_to_its_host,
    prefixed,
    shows_a_page,
    without_cookies,
)
from moorage.plan.proxying import Forwarding, PrefixRoute, RequestWriter, upgrade_answer
from moorage.plan.targets import parse_target
from plan.test_proxying import request

OURS = b"Cookie: a=b; moorage-server-1=right"
ADMISSION = Admission(b"moorage-server-1=right", ((b"Authorization", b"token t"),), b"moorage-")
WEBSOCKET = (b"Connection: Upgrade", b"Upgrade: websocket")
POST = b"POST /bar HTTP/1.1"
HOME = b"Origin: http://visible:8000"


@pytest.mark.parametrize(
    ("lines", "start", "admitted"),
    [
        ((OURS,), None, True),
        ((), None, False),
        ((b"Cookie: moorage-server-1=wrong",), None, False),
        ((b"Cookie: moorage-server-1=right2",), None, False),
        ((b"Cookie: moorage-server-1=",), None, False),
        ((b"Cookie: x-moorage-server-1=right",), None, False),
        ((b"X-Cookie: moorage-server-1=right",), None, False),
        ((b"cookie:\t moorage-server-1=right ;x",), None, True),
        ((b"Cookie: a=b", OURS), None, True),
        ((OURS,), POST, True),
        ((OURS, HOME), POST, True),
        ((OURS, b"Origin: http://VISIBLE:8000"), POST, True),
        ((OURS, b"Origin: http://visible:9000"), POST, False),
        ((OURS, b"Origin: http://evil"), POST, False),
        ((OURS, b"Origin: null"), POST, False),
        ((OURS, HOME, b"Origin: http://evil"), POST, False),
        ((OURS, b"Origin: http://evil"), None, True),
        ((OURS, b"Origin: http://evil"), b"HEAD /bar HTTP/1.1", True),
        ((OURS, b"Origin: http://evil"), b"DELETE /bar HTTP/1.1", False),
        ((OURS, *WEBSOCKET), None, True),
        ((OURS, HOME, *WEBSOCKET), None, True),
        ((OURS, b"Origin: http://evil", *WEBSOCKET), None, False),
        ((HOME, *WEBSOCKET), None, False),
    ],
)
def test_a_cookie_opens_and_other_sites_change_nothing(
    lines: tuple[bytes, ...], start: bytes | None, admitted: bool
) -> None:
    head = request(*lines, start=start) if start else request(*lines)
    assert ADMISSION.admits(head) is admitted


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ((), True),
        ((b"Sec-Fetch-Mode: navigate",), True),
        ((b"sec-fetch-mode:cors",), False),
        ((b"Sec-Fetch-Mode: websocket",), False),
        (WEBSOCKET, False),
    ],
)
def test_what_is_shown_to_a_reader(lines: tuple[bytes, ...], shown: bool) -> None:
    assert shows_a_page(request(*lines)) is shown


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\r\nCookie: a=1; moorage-x=2; b=3\r\nX: y", b"\r\nCookie: a=1; b=3\r\nX: y"),
        (b"\r\ncookie:moorage-x=2\r\nX: y", b"\r\nX: y"),
        (b"\r\nX: y", b"\r\nX: y"),
        (b"\r\nCookie: a-moorage-x=1", b"\r\nCookie: a-moorage-x=1"),
    ],
)
def test_cookies_are_withheld(before: bytes, after: bytes) -> None:
    assert without_cookies(before, b"moorage-") == after


def test_the_server_gets_its_token_in_the_place_of_what_the_visitor_sent() -> None:
    route = PrefixRoute((b"bar",), parse_target("http://a"), {}, 0.0, ADMISSION)
    head = request(OURS, b"Authorization: token mine", b"authorization: token again")
    lines = RequestWriter(Forwarding(), peer=b"p", tls=False).message(head, route, b"").split(b"\r\n")
    assert [line for line in lines if line.lower().startswith(b"authorization")] == [
        b"Authorization: token t"
    ]
    assert [line for line in lines if line.startswith(b"Cookie")] == [b"Cookie: a=b"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\r\nLocation: /login?x=/y", b"\r\nLocation: /user/a/login?x=/y"),
        (b"\r\nlocation:/", b"\r\nlocation:/user/a/"),
        (b"\r\nLocation: login", b"\r\nLocation: login"),
        (b"\r\nLocation: //elsewhere/", b"\r\nLocation: //elsewhere/"),
        (b"\r\nLocation: http://elsewhere/", b"\r\nLocation: http://elsewhere/"),
        (b"\r\nSet-Cookie: a=b; Path=/; HttpOnly", b"\r\nSet-Cookie: a=b; Path=/user/a/; HttpOnly"),
        (b"\r\nset-cookie: a=b;path=/x\r\nA: ;path=/", b"\r\nset-cookie: a=b;path=/user/a/x\r\nA: ;path=/"),
        (b"\r\nSet-Cookie: a=b", b"\r\nSet-Cookie: a=b"),
    ],
)
def test_what_a_server_without_a_prefix_leads_to(before: bytes, after: bytes) -> None:
    assert prefixed(b"HTTP/1.1 302 Found" + before, b"/user/a") == b"HTTP/1.1 302 Found" + after


def test_a_stripped_route() -> None:
    route = PrefixRoute((b"user", b"a"), parse_target("http://a"), {}, 0.0, Admission(b"c=d", stripped=True))
    head = request(b"X-Forwarded-Prefix: /mine", start=b"GET /user/a/x?y=/user/a HTTP/1.1")
    lines = RequestWriter(Forwarding(), peer=b"p", tls=False).message(head, route, b"").split(b"\r\n")
    assert lines[0] == b"GET /x?y=/user/a HTTP/1.1"
    assert [line for line in lines if b"Prefix" in line] == [b"X-Forwarded-Prefix: /user/a"]


OWN_HOST = Admission(b"moorage-server-1=right", (), b"moorage-", False, b"/.moorage/")
SECURE = b"X-Forwarded-Proto: https"
SCRIPT = (b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: script")


@pytest.mark.parametrize(
    ("lines", "admitted"),
    [
        ((OURS,), True),
        ((OURS, SECURE), False),
        ((b"Cookie: __Host-moorage-server-1=right", SECURE), True),
        ((b"Cookie: __Host-moorage-server-1=right",), False),
        ((b"Cookie: __Host-moorage-server-1=right", b"x-forwarded-proto:HTTPS , http"), True),
        ((OURS, b"X-Forwarded-Proto: http, https"), True),
        ((OURS, b"X-Forwarded-Proto: httpsx"), True),
        ((OURS, *SCRIPT), False),
        ((OURS, b"sec-fetch-site:cross-site "), False),
        ((OURS, b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Dest: script"), True),
        ((OURS, b"Sec-Fetch-Site: none", b"Sec-Fetch-Dest: document"), True),
        ((OURS, b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Dest: document"), True),
        ((OURS, b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Dest: iframe"), False),
    ],
)
def test_hosts_of_others_are_of_the_same_site(lines: tuple[bytes, ...], admitted: bool) -> None:
    assert OWN_HOST.admits(request(*lines)) is admitted


def test_the_scheme_is_what_the_first_proxy_says() -> None:
    assert by_https(request(SECURE).fields)
    assert not by_https(request().fields)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"Set-Cookie: a=b; Domain=x.org; Path=/", b"Set-Cookie: a=b; Path=/"),
        (b"set-cookie:a=b;domain=x.org", b"set-cookie:a=b"),
        (b"Set-Cookie: a=b;\tDOMAIN = x.org ;domain;Secure", b"Set-Cookie: a=b;Secure"),
        (b"Set-Cookie: domain=x; Domainx=y", b"Set-Cookie: domain=x; Domainx=y"),
        (b"X: Set-Cookie: a=b; Domain=x", b"X: Set-Cookie: a=b; Domain=x"),
    ],
)
def test_a_host_sets_cookies_for_itself_alone(line: bytes, kept: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nA: b\r\n%b\r\nclear-site-data: *\r\n%b\r\nC: d"
    assert kept_to_its_host(head % (line, line)) == b"HTTP/1.1 200 OK\r\nA: b\r\n%b\r\n%b\r\nC: d" % (
        kept,
        kept,
    )


def test_cookies_of_the_service_are_withheld_under_both_names() -> None:
    lines = b"\r\nCookie: moorage-x=1; a=b; __Host-moorage-y=2; __Host-c=d"
    assert without_cookies(lines, b"moorage-") == b"\r\nCookie: a=b; __Host-c=d"


def test_a_websocket_is_opened_with_cookies_of_its_host_alone() -> None:
    answer = b"HTTP/1.1 101 X\r\nSet-Cookie: a=b; Domain=x\r\nUpgrade: websocket\r\n\r\n; domain=x"
    target = parse_target("http://x:1")
    plain = PrefixRoute((b"x",), target, {}, 0.0, ADMISSION)
    assert upgrade_answer(answer, plain) == answer
    own = PrefixRoute((b"x",), target, {}, 0.0, OWN_HOST)
    assert upgrade_answer(answer, own) == answer.replace(b"; Domain=x", b"")
