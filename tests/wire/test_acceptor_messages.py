"""Orders and news are what they were, on the other side."""

from __future__ import annotations

import pytest

from moorage.errors import ProtocolError
from moorage.wire.acceptor_messages import (
    AcceptorReport,
    Ask,
    Done,
    DropRoute,
    Listener,
    News,
    Order,
    SetRoute,
    TakeVisitors,
    encode,
    read_news,
    read_order,
)


@pytest.mark.parametrize(
    "order",
    [
        Ask(1),
        TakeVisitors(2, (Listener(7, encrypted=True), Listener(8, redirect_to=443))),
        SetRoute(3, (b"user", "\u00e4 /?%\n".encode()), {"target": "http://a", "more": [1, None, "\n"]}),
        SetRoute(4, (), {"target": "http://a"}),
        DropRoute(5, (b"\xff",)),
    ],
)
def test_orders(order: Order) -> None:
    line = encode(order)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert read_order(line) == order


@pytest.mark.parametrize(
    "news",
    [
        Done(1),
        AcceptorReport((("proxied", 200, 5),), {"visitor": 1}, 0, 9, 1024, 900, (((b"a", b"b"), 1.5, 1.25),)),
    ],
)
def test_news(news: News) -> None:
    assert read_news(encode(news)) == news


@pytest.mark.parametrize("line", [b"", b"\n", b"[]", b'{"type":"none"}', b'{"type":"ask"}', b"\xff"])
def test_what_is_neither(line: bytes) -> None:
    for read in (read_order, read_news):
        with pytest.raises(ProtocolError, match="is no"):
            read(line)
