"""What Prometheus is told of a service."""

from __future__ import annotations

import re

import msgspec

from moorage.temp.metrics import render
from moorage.wire.temp_admin import Descriptors, ServerCounts, Servers, SpareServers, Stats

STATS = Stats(
    moorage="1",
    pid=1,
    uptime=12.34,
    draining=True,
    capacity=9,
    fit=40,
    shortage="descriptors",
    visitors=2,
    queue=3,
    servers=Servers(running=7, starting=2, ready=3, ending=2),
    spares=SpareServers(wanted=2, starting=1, ready=1),
    counts=ServerCounts(started=4, spares_started=5, adopted=6, handed_out=7, failed=8, ended=9),
    descriptors=Descriptors(1, 2, 3, 4, 5, 6, 7),
    memory=1000,
)


def test_all_that_is_told() -> None:
    text = render(STATS)
    for line in (
        'moorage_temp_servers{state="ready",kind="visitor"} 2',
        'moorage_temp_servers{state="starting",kind="visitor"} 1',
        'moorage_temp_servers{state="ready",kind="spare"} 1',
        'moorage_temp_servers{state="ending",kind="any"} 2',
        'moorage_temp_started_total{kind="visitor"} 4',
        'moorage_temp_started_total{kind="adopted"} 6',
        "moorage_temp_handed_out_total 7",
        "moorage_temp_failed_total 8",
        "moorage_temp_ended_total 9",
        "moorage_temp_capacity 9",
        "moorage_temp_fit 40",
        "moorage_temp_waiting 3",
        "moorage_temp_draining 1",
        "moorage_temp_uptime_seconds 12.3",
        "moorage_temp_memory_bytes 1000",
    ):
        assert f"{line}\n" in text
    for line in text.splitlines():
        assert re.fullmatch(r'# (?:HELP|TYPE) \w+ .+|\w+(?:\{[\w=",]+\})? [\d.]+', line)


def test_lowered_shares_are_counted() -> None:
    assert "\nmoorage_temp_braked 0\n" in render(STATS)
    servers = msgspec.structs.replace(STATS.servers, braked=2)
    assert "\nmoorage_temp_braked 2\n" in render(msgspec.structs.replace(STATS, servers=servers))


def test_memory_that_is_not_known_is_left_out() -> None:
    assert "memory" not in render(msgspec.structs.replace(STATS, memory=None))
