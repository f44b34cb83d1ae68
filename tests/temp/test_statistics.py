"""Counts of servers, spares and descriptors."""

from __future__ import annotations

from moorage.plan.census import Census, CensusRow
from moorage.temp.statistics import ServiceCounts, descriptors_of, servers_of, spares_of, visitors_of
from moorage.wire.acceptor_messages import AcceptorReport
from moorage.wire.temp_admin import Descriptors, ServerCounts, Servers, SpareServers

CENSUS = Census(
    (
        CensusRow("a", "ready", "", since=1.0),
        CensusRow("b", "ready", "", since=1.0),
        CensusRow("c", "starting", "", since=1.0),
        CensusRow("d", "ending", ""),
        CensusRow("p", "ready", "", spare=True),
        CensusRow("q", "starting", "", spare=True),
        CensusRow("r", "ending", "", spare=True),
    ),
    waiting=3,
    spares_wanted=2,
)


def test_servers_by_state() -> None:
    assert servers_of(CENSUS) == Servers(running=7, starting=2, ready=3, ending=2)
    assert servers_of(CENSUS, 1, 2) == Servers(7, 2, 3, 2, asleep=1, braked=2)
    assert spares_of(CENSUS) == SpareServers(wanted=2, starting=1, ready=1)
    assert visitors_of(CENSUS) == 2


def test_counts() -> None:
    counts = ServiceCounts(adopted=1, failed=2)
    counts.started["spare"] += 3
    assert counts.now() == ServerCounts(0, 3, 1, 0, 2, 0)


def test_descriptors_by_kind() -> None:
    report = AcceptorReport((), {"visitor": 4, "upstream": 5, "websocket": 2}, 3, 40, 1000, 900)
    assert descriptors_of(report) == Descriptors(40, 1000, 900, 4, 2, 3, 2)
    assert descriptors_of(AcceptorReport((), {}, 0, 9, 10, 5)) == Descriptors(9, 10, 5, 0, 0, 0, 0)
