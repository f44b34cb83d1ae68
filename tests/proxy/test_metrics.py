"""What Prometheus is told."""

from __future__ import annotations

import re

import pytest

from moorage.proxy.metrics import render, report_of, summed
from moorage.wire.acceptor_messages import AcceptorReport
from proxy.rig import UPGRADE, echo, mirror, origin, proxied

pytestmark = pytest.mark.anyio


def test_a_sum() -> None:
    one = AcceptorReport((("proxied", 200, 2),), {"visitor": 1}, 1, 10, 100, 50)
    two = AcceptorReport(
        (("proxied", 200, 3), ("proxied", 404, 1)), {"visitor": 2, "upstream": 1}, 0, 20, 200, 60
    )
    whole = summed([one, two])
    assert dict(whole.kinds) == {"visitor": 3, "upstream": 1}
    assert set(whole.counts) == {("proxied", 200, 5), ("proxied", 404, 1)}
    assert (whole.idle, whole.descriptors, whole.limit, whole.room) == (1, 30, 300, 110)
    assert summed([]) == AcceptorReport((), {}, 0, 0, 0, 0)


async def test_counters_and_gauges() -> None:
    async with origin(echo) as server, origin(mirror) as sockets, proxied(server.url, ws=sockets.url) as rig:
        assert (await rig.get("/x")).status == 200
        await rig.ask(b"nonsense\r\n\r\n")
        visit = await rig.connect()
        visit.send(UPGRADE)
        await visit.head()
        await rig.settled(visitor=1, upstream=2)
        text = render(report_of(rig.proxy.core), 2)
        for line in (
            'requests_proxy{status="101"} 1',
            'requests_proxy{status="200"} 1',
            'requests_refused{status="400"} 1',
            "requests_web 1",
            "requests_ws 1",
            'moorage_sockets{kind="visitor"} 1',
            'moorage_sockets{kind="upstream"} 1',
            'moorage_sockets{kind="upstream_idle"} 1',
            "moorage_websockets 1",
            "moorage_routes 2",
        ):
            assert f"{line}\n" in text
        for line in text.splitlines():
            assert re.fullmatch(r'# (?:HELP|TYPE) \w+ .+|\w+(?:\{\w+="\w+"\})? \d+', line)
        await visit.close()
