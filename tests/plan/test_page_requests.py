"""What pages of Jupyter sent in a minute in which their visitor did nothing, and what a visitor causes."""

from __future__ import annotations

import pytest

from moorage.plan.page_requests import (
    can_be_closed,
    can_be_held,
    kernel_of,
    polled,
    said_by_the_page,
    sent_by_the_page,
)
from moorage.plan.proxying import PrefixRoute
from moorage.plan.routes import prefix_segments
from moorage.plan.targets import parse_target
from plan.test_proxying import request

# As pages of JupyterLab 4.6.6 and Notebook 7.6.5 that were in sight in Chromium sent them in 65 seconds,
# most of them seven times. Their websockets sent no data frame. Only PUT has a body.
POLLS = (
    "GET /user/1/api/kernels?1796038602688",
    "GET /user/1/api/sessions?1796038602689",
    "GET /user/1/api/terminals?1796038602690",
    "GET /user/1/api/contents?content=1&hash=0&1796038602691",
    "GET /user/1/api/me?1796038602692",
    "GET /user/1/api/kernelspecs?1796038602693",
    "GET /time-left?server=1",
)
OF_LAB_ALONE = (
    "GET /user/1/lab/api/workspaces?1796038602694",
    "PUT /user/1/lab/api/workspaces/default?1796038602695",
)


@pytest.mark.parametrize("sent", [POLLS, POLLS + OF_LAB_ALONE], ids=["notebook", "lab"])
def test_a_minute_at_rest_is_no_input(sent: tuple[str, ...]) -> None:
    route = PrefixRoute(prefix_segments("/user/1"), parse_target("http://127.0.0.1:9000"), {}, 1.0)
    for now, line in enumerate(sent * 7, 2):
        if line.startswith("PUT"):
            route.body_came(request(start=line.encode() + b" HTTP/1.1"), float(now))
    assert route.last_input == 1.0


@pytest.mark.parametrize(
    "line",
    [
        "PUT /lab/api/workspaces/default",  # a server with a host name of its own
        "PUT /user/1/lab/api/workspaces/auto-k",
        "PUT /user/1/lab/api/workspaces/a%20name?1",
    ],
)
def test_workspaces_are_stored_by_the_page(line: str) -> None:
    assert sent_by_the_page(request(start=line.encode() + b" HTTP/1.1"))


@pytest.mark.parametrize(
    "line",
    [
        "PUT /user/1/api/contents/index.ipynb?1",
        "PUT /user/1/api/contents/lab/api/workspaces/default/a.txt",
        "PUT /user/1/api/contents/lab/api/workspaces/default",
        "PUT /user/1/api/contents/a.txt?/lab/api/workspaces/default",
        "PUT /user/1/lab/api/settings/@jupyterlab/apputils-extension:themes",
        "POST /user/1/lab/api/workspaces/default",
        "POST /user/1/api/sessions?1",
        "PATCH /user/1/api/sessions/2?1",
        "POST /user/1/api/kernels/2/interrupt",
        "POST /user/1/api/terminals",
    ],
)
def test_what_a_visitor_causes_is_input(line: str) -> None:
    assert not sent_by_the_page(request(start=line.encode() + b" HTTP/1.1"))


def below(line: str) -> bytes:
    return line.split()[1].partition("?")[0].removeprefix("/user/1").encode()


@pytest.mark.parametrize("line", [each for each in POLLS + OF_LAB_ALONE if "time-left" not in each])
def test_a_minute_at_rest_wakes_no_server(line: str) -> None:
    assert polled(request(start=line.encode() + b" HTTP/1.1"), below(line))


@pytest.mark.parametrize(
    ("line", "by_itself"),
    [
        ("GET /user/1/api/kernels/9f-1?1", True),
        ("GET /user/1/api/contents/a%20folder?content=1&hash=0&1", True),
        ("GET /user/1/api/contents/a.ipynb?type=notebook&content=1&hash=1&1", False),
        ("GET /user/1/api/contents/a.txt?content=1&format=text&type=file", False),
        ("GET /user/1/api/contents/a.ipynb?content=0&hash=0&1", False),
        ("GET /user/1/api/contents/a.ipynb/checkpoints?1", False),
        ("PUT /user/1/api/contents/a.ipynb?1", False),
        ("POST /user/1/api/kernels?1", False),
        ("POST /user/1/api/kernels/9f-1/interrupt", False),
        ("DELETE /user/1/api/kernels/9f-1", False),
        ("GET /user/1/lab/tree/index.ipynb", False),
        ("GET /user/1/files/a.csv", False),
        ("GET /user/1/lab/api/workspaces/default", False),
        ("GET /user/1/", False),
    ],
)
def test_what_a_visitor_causes_wakes_a_server(line: str, by_itself: bool) -> None:
    assert polled(request(start=line.encode() + b" HTTP/1.1"), below(line)) is by_itself


def test_websockets_that_can_be_held_and_closed() -> None:
    assert kernel_of(b"/api/kernels/9f-1/channels") == b"9f-1"
    held = [b"/api/kernels/9f-1/channels", b"/api/events/subscribe"]
    others = [
        b"/terminals/websocket/1",
        b"/lsp/ws/pylsp",
        b"/api/kernels/x/y/channels",
        b"/proxy/8080/ws",
        b"",
    ]
    assert [each for each in held + others if can_be_held(each)] == held
    assert [each for each in held + others if can_be_closed(each)] == [b"/lsp/ws/pylsp"]


def test_what_a_page_says_to_a_kernel_by_itself() -> None:
    assert said_by_the_page(b'{"header":{"msg_id":"1","msg_type":"kernel_info_request"},"content":{}}')
    assert said_by_the_page(b'\x02\x00shell{"msg_type": "comm_info_request"}{}')
    assert not said_by_the_page(b'{"msg_type":"execute_request"}{"code":"kernel_info_request"}')
    assert not said_by_the_page(b"")
