"""What can be said on a link, and what the keeper does by itself."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from moorage.keeper.process import record
from moorage.wire import link

linux = pytest.mark.skipif(sys.platform != "linux", reason="subreapers and /proc are Linux's")


def family(keeper, until) -> dict[str, int]:
    """A charge with a child, a grandchild in a session of its own, and one whose parent has gone."""
    code = "sleep 1000 & echo child $!; setsid sh -c 'echo own $$; sleep 1000' &"
    code += "(sleep 1000 & echo orphan $!) ; wait"
    keeper.begin("sh", "-c", code)
    tail = until(lambda: (said := keeper.first.ask("status")["output"]["tail"]).count("\n") == 3 and said)
    return {name: int(pid) for name, pid in map(str.split, tail.splitlines())}


def test_status_is_told_to_any_link(keeper):
    started = keeper.begin("sh", "-c", "echo hello; sleep 1000")
    other = keeper.link()
    hello = other.get()
    name = str(keeper.directory)
    assert (hello["tell"], hello["version"], hello["id"], hello["pid"]) == ("hello", 1, name, keeper.pid)
    told = other.ask("status")
    assert (told["state"], told["pid"], told["attached"], told["ended"]) == (
        "running",
        started["pid"],
        1,
        None,
    )


def test_a_watching_link_is_told_of_changes_and_another_is_not(keeper):
    keeper.begin("sleep", "1000")
    watching, other = keeper.link(), keeper.link()
    watching.ask("watch")
    other.ask("attach")
    assert watching.get(lambda told: told["tell"] == "status")["attached"] == 2
    other.ask("detach")
    assert watching.get(lambda told: told["tell"] == "status")["attached"] == 1
    watching.ask("watch", on=False)
    keeper.first.ask("signal", signum=signal.SIGKILL)
    keeper.first.state("ended")
    watching.end()
    assert watching.arrived == []


@linux
def test_end_asks_first_and_kills_the_whole_tree(keeper, until, exists):
    pids = family(keeper, until)
    keeper.first.ask("end", grace=30)
    told = keeper.first.state("ended")
    assert (told["ended"]["signal"], told["reason"], told["left"]) == (signal.SIGTERM, "asked", 0)
    assert {name for name, pid in pids.items() if exists(pid)} == set()
    keeper.first.end()


@linux
def test_what_a_charge_leaves_ends_with_it(keeper, until, exists):
    pids = family(keeper, until)
    keeper.first.ask("signal", signum=signal.SIGKILL)
    told = keeper.first.state("ended")
    assert (told["ended"]["signal"], told["ended"]["oom"], told["reason"]) == (signal.SIGKILL, False, "exit")
    assert {name for name, pid in pids.items() if exists(pid)} == set()


@linux
def test_sigterm_ends_the_keeper_with_all_it_keeps(keeper, until, exists):
    pids = family(keeper, until)
    os.kill(keeper.pid, signal.SIGTERM)
    assert keeper.first.state("ended")["reason"] == "keeper"
    assert {name for name, pid in pids.items() if exists(pid)} == set()


def test_a_charge_that_ignores_sigterm_is_killed_after_the_grace(keeper):
    keeper.begin("sh", "-c", "trap '' TERM; echo on; while true; do sleep 0.1; done")
    keeper.first.ask("end", grace=0.5)
    assert keeper.first.state("ended")["ended"]["signal"] in (signal.SIGKILL, signal.SIGTERM)


def test_the_lease_runs_out(keeper, until):
    keeper.begin("sleep", "1000", lease=0.2)
    keeper.first.channel.close()
    keeper.first.ended = True
    until(lambda: (record.read(str(keeper.directory)) or {}).get("state") == "ended")
    found = record.read(str(keeper.directory))
    assert found is not None
    assert (found["reason"], found["ended"]["signal"]) == ("lease", signal.SIGTERM)


def test_an_attached_link_stops_the_lease_and_a_detached_one_does_not(keeper):
    keeper.begin("sleep", "1000", lease=1000)
    other = keeper.link()
    assert other.ask("status")["lease_left"] is None
    keeper.first.ask("detach")
    assert 0 < other.ask("status")["lease_left"] <= 1000
    other.ask("lease", seconds=0)
    assert other.ask("status")["lease_left"] is None
    other.ask("watch")
    other.ask("lease", seconds=0.1)
    assert other.state("ended")["reason"] == "lease"


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"do": None},
        {"do": "dance"},
        {"do": "start"},
        {"do": "signal"},
        {"do": "signal", "signum": 999},
        {"do": "signal", "signum": "TERM"},
        {"do": "lease"},
        {"do": "lease", "seconds": -1},
        {"do": "lease", "seconds": True},
        {"do": "lease", "seconds": float("nan")},
        {"do": "end", "grace": "soon"},
        {"do": ["status"]},
    ],
    ids=json.dumps,
)
def test_what_cannot_be_done_is_refused_with_a_reason(keeper, message):
    keeper.begin("sleep", "1000")
    other = keeper.link()
    other.get()
    other.send(**message, ref="r")
    told = other.get()
    assert (told["tell"], told["ref"], bool(told["why"])) == ("refused", "r", True)
    assert other.ask("status")["state"] == "running"


def test_one_bad_link_harms_no_other(keeper):
    keeper.begin("sleep", "1000")
    bad = keeper.link()
    bad.get()
    bad.channel.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert bad.get()["tell"] == "dropped"
    bad.end()
    assert keeper.link().ask("status")["state"] == "running"


def test_a_link_that_reads_nothing_is_dropped_with_a_word(keeper):
    keeper.begin("sleep", "1000")
    slow = keeper.link()
    question = link.encode({"do": "status", "ref": 1})
    slow.channel.setblocking(False)
    other = keeper.link()
    turns = 0  # of the keeper's loop, each of which reads of the slow link while that is open
    while turns < 20:
        try:
            slow.channel.send(question)
            turns = 0
        except BlockingIOError:
            assert other.ask("status")["state"] == "running", "it has held up no other"
            turns += 1
        except OSError:  # it is closed already
            break
    slow.channel.setblocking(True)
    told = slow.get(lambda message: message["tell"] == "dropped")
    assert "too little was read" in told["why"]


def test_a_charge_that_closes_its_output_is_kept(keeper, until):
    keeper.begin("sh", "-c", "echo last; exec >&- 2>&-; sleep 1000")
    until(lambda: keeper.first.ask("status")["output"]["tail"] == "last\n")
    assert keeper.first.ask("status")["state"] == "running"


def test_the_portable_mode_kills_the_process_group(keeper, until, exists):
    keeper.begin("sh", "-c", "sleep 1000 & echo $!; wait", portable=True)
    pid = int(until(lambda: keeper.first.ask("status")["output"]["tail"]))
    keeper.first.ask("end", grace=0)
    assert keeper.first.state("ended")["ended"]["signal"] == signal.SIGKILL
    assert not exists(pid)


def test_the_record_tells_what_is_kept_and_in_the_end_what_was_said(keeper):
    told = keeper.begin("sh", "-c", "echo words; sleep 1000", lease=77)
    found = record.read(str(keeper.directory))
    assert found is not None
    assert (found["id"], found["state"], found["lease"]) == (str(keeper.directory), "running", 77)
    assert found["charge"]["pid"] == told["pid"]
    keeper.first.ask("end", grace=0)
    keeper.first.state("ended")
    found = record.read(str(keeper.directory))
    assert found is not None
    assert (found["state"], found["ended"]["signal"]) == ("ended", 9)
    assert found["output"]["tail"] in ("", "words\n")
