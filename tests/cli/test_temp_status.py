"""How a service is shown."""

from __future__ import annotations

import msgspec
import pytest

from moorage.cli.table import Screen, columns_of
from moorage.cli.temp_status import DRAINED, not_enough, one_line, shown
from moorage.wire.temp_admin import ServerBrake, ServerEgress, ServerInfo, ServerLimits, ServerUse
from temp.test_metrics import STATS

PIPE = Screen(None, colour=False)
STATED = msgspec.structs.replace(STATS, uptime=7325.0, draining=False, memory=300 << 20)
ANN = ServerInfo(
    "a" * 16, "/user/a/", "ready", spare=False, offer="", age=65.0, unused=3.0, left=3700.0, memory=64 << 20
)
SPARE = ServerInfo("b" * 16, "/user/b/", "starting", spare=True, offer="")


def test_how_things_stand() -> None:
    assert shown(STATED, [ANN, SPARE], PIPE) == [
        "2 visitors have a server, 3 in the queue",
        "7 of 9 servers (2 starting, 2 ending), 1 of 2 spares ready, 300 MiB of memory",
        "1 of 2 descriptors: 4 of visitors, 5 to servers, 6 unused, 7 websockets",
        "In 2 h 02 min: 9 starts, 8 failed, 6 adopted, 7 handed out, 9 ended",
        "",
        "SERVER            STATE            AGE   UNUSED  ENDS IN  MEMORY",
        "aaaaaaaaaaaaaaaa  ready            1:05  0:03    1:01:40  64 MiB",
        "bbbbbbbbbbbbbbbb  spare, starting  -     -       -        -",
    ]


def test_servers_that_are_asleep_are_counted_and_shown() -> None:
    stated = msgspec.structs.replace(STATED, servers=msgspec.structs.replace(STATED.servers, asleep=3))
    lines = shown(stated, [msgspec.structs.replace(ANN, state="asleep")], PIPE)
    assert lines[1].startswith("7 of 9 servers (2 starting, 2 ending, 3 asleep), ")
    assert lines[-1].startswith("aaaaaaaaaaaaaaaa  asleep ")


def test_a_lowered_share_is_counted_and_shown() -> None:
    stated = msgspec.structs.replace(STATED, servers=msgspec.structs.replace(STATED.servers, braked=2))
    servers = [
        msgspec.structs.replace(ANN, brake=ServerBrake(1200.0, state, 1300.0))
        for state in ("full", "lowered", "asked")
    ]
    lines = shown(stated, servers, PIPE)
    assert lines[1].startswith("7 of 9 servers (2 starting, 2 ending, 2 braked), ")
    states = [line.removeprefix(ANN.id).partition("1:05")[0].strip() for line in lines[-3:]]
    assert states == ["ready", "ready, braked", "ready, braked and asked"]
    coloured = shown(stated, servers, Screen(200, colour=True))[-3:]
    assert ["\x1b[33m" in line for line in coloured] == [False, True, True]


def test_servers_that_cannot_sleep_are_told() -> None:
    said = shown(msgspec.structs.replace(STATED, sleepless=1), [], PIPE)[4]
    assert said == ("1 server will not sleep: a template failed, so that they were spawned; the log says why")


def test_what_is_not_there_is_not_shown() -> None:
    found = shown(msgspec.structs.replace(STATED, memory=None, visitors=1), [], PIPE)
    assert len(found) == 4
    assert found[0] == "1 visitor has a server, 3 in the queue"
    assert "memory" not in found[1]


def test_that_there_is_no_room_for_all_servers() -> None:
    few = msgspec.structs.replace(STATED, fit=1)
    said = "enough for 1 of the 9 servers that there may be: "
    descriptors = f"Descriptors are {said}raise `ulimit -Hn` of the service or use `--acceptors`"
    assert shown(few, [], PIPE)[-1] == not_enough(few) == descriptors
    few = msgspec.structs.replace(few, shortage="memory")
    assert not_enough(few) == f"Memory is {said}`--sleep`, `--idle` and `--max-age` free what is not used"
    assert not_enough(msgspec.structs.replace(STATED, fit=9)) == ""


def test_offers_and_addresses_have_columns_where_there_are_any() -> None:
    named = msgspec.structs.replace(ANN, offer="waves", address="10.0.0.1", state="ending")
    head, first, second = shown(STATED, [named, SPARE], PIPE)[-3:]
    assert head.split()[:4] == ["SERVER", "STATE", "OFFER", "ADDRESS"]
    assert first.split()[1:4] == ["ending", "waves", "10.0.0.1"]
    assert second.split()[3:5] == ["-", "-"]


def test_limits_and_what_is_taken_of_them() -> None:
    limits = ServerLimits(memory=400 << 20, disk=200 << 20, cpus=1.5, processes=64)
    bounded = msgspec.structs.replace(ANN, limits=limits, used=ServerUse(210 << 20, 9, 0))
    large = msgspec.structs.replace(limits, memory=2 << 30, cpus=None)
    killed = msgspec.structs.replace(ANN, limits=large, used=ServerUse(1 << 30, 9, 3))
    assert [line.split()[5:] for line in shown(STATED, [bounded, SPARE], PIPE)[-3:]] == [
        ["IN", "MEMORY", "CPUS"],
        ["210/400", "MiB", "1.5"],
        ["-", "-", "-"],
    ]
    table = shown(STATED, [bounded, killed], PIPE)[-3:]
    assert table[0].split()[-3:] == ["MEMORY", "CPUS", "KILLED"]
    assert table[1].split()[-4:] == ["210/400", "MiB", "1.5", "-"]
    assert table[2].split()[-4:] == ["1.0/2.0", "GiB", "-", "3"]
    little = msgspec.structs.replace(killed, used=ServerUse(35 << 20, 9, 0))
    assert shown(STATED, [little], PIPE)[-1].split()[-3:] == ["35", "MiB/2.0", "GiB"]
    assert "\x1b[33m3" in shown(STATED, [bounded, killed], Screen(200, colour=True))[-1]
    narrow = [msgspec.structs.replace(each, offer="waves", address="10.0.0.1") for each in (bounded, killed)]
    found = shown(STATED, narrow, Screen(80, colour=False))
    assert all(columns_of(line) <= 80 for line in found)
    assert found[-3].split()[-1] == "KILLED"


def test_that_no_new_visitors_are_let_in() -> None:
    drained = msgspec.structs.replace(STATED, draining=True)
    assert shown(drained, [], PIPE)[-1] == DRAINED
    assert one_line(drained).endswith("memory 300 MiB, no new visitors are let in")


@pytest.mark.parametrize("width", [64, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    offered = msgspec.structs.replace(ANN, offer="a very long name of an offer", address="2001:db8:1:2::/64")
    stats = msgspec.structs.replace(STATED, draining=True)
    screen = Screen(width, colour=False)
    assert all(columns_of(line) <= max(width, 80) for line in shown(stats, [ANN, offered], screen))
    assert "\x1b[33m" in "".join(shown(stats, [ANN], Screen(width, colour=True)))


def test_foreign_text_moves_no_cursor() -> None:
    evil = msgspec.structs.replace(ANN, offer="\x1b[2Jx")
    assert "\x1b" not in "".join(shown(STATED, [evil], PIPE))


def test_one_line_for_a_log() -> None:
    assert one_line(msgspec.structs.replace(STATED, memory=None)) == (
        "visitors 2, queue 3, servers 7 of 9, spares 1 of 2, failed 8, descriptors 1 of 2"
    )


def test_what_servers_ask_of_hosts_is_shown_where_there_is_room() -> None:
    asks = msgspec.structs.replace(ANN, egress=ServerEgress(1, 3, 2, 1 << 20, 4 << 20))
    head, first, second = shown(STATED, [asks, SPARE], PIPE)[-3:]
    assert head.endswith("NETWORK")
    assert first.endswith("5 MiB, 2 refused")
    assert second.endswith(" -")
    narrow = shown(STATED, [asks], Screen(80, colour=False))
    assert "NETWORK" not in narrow[-2]
    quiet = msgspec.structs.replace(ANN, egress=ServerEgress(0, 0, 0, 0, 0))
    assert "refused" not in shown(STATED, [quiet], PIPE)[-1]
