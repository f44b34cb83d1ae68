"""What a keeper takes of what is told behind walls: what can be said now, once; all else loses the charge."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from moorage.process.walls.probe import given
from process.walls.behind import private_folder, walls_here

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or bool(given().why), reason=f"no walls here: {given().why}"
)

# What tends the charge here says what it is to say, once it was told something where it waits for that.
RUN = """
import json, os, select, socket, sys
from moorage.keeper.process import charge, tended
walls, said, ends = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
class Says:
    def tend(self, door, orders, program, marker):
        os.close(program.report)
        link = socket.socket(fileno=orders)
        for each in said:
            if each in ("sleep", "start 2"):
                assert link.recv(64).decode() == each
            else:
                link.send(each.encode("latin-1"))
        if ends:
            os._exit(int(ends))
        link.recv(64)
        link.recv(64)
spec = {"argv": ["x"], "env": {}, "cwd": "/", "umask": 0o77, "walls": walls}
kept = tended.TendedCharge(spec, "id", charge.find_prctl(), None, Says())
kill, exited = None, False
if "sleep" in said:
    kill = kept.put_to_sleep()
def watch(enough):
    global exited
    while not enough():
        poll = select.poll()
        for fd in kept.watched():
            poll.register(fd, select.POLLIN)
        ready = dict(poll.poll(50))
        if kept.report in ready:
            kept.hear()
        exited |= kept.reap()
over = lambda: kept.lost or exited or (kill is not None and kill.strike() and not "start 2" in said)
if "start 2" in said:
    watch(lambda: kill.strike())
    kept.wake({"argv": ["y"], "env": {}, "cwd": "/"})
watch(over)
if sys.argv[4]:
    watch(lambda: kept.lost)
watch(lambda: not ends or (kept.lost and kept.ended))
print(json.dumps([exited, kept.lost, kept.ended and [kept.ended["code"], kept.ended["signal"]], kept.asleep]))
if not ends:
    os.kill(kept.pid, 9)
"""


def made_of(said: list[str], ends: str = "", lost: str = "") -> Any:
    """Return what becomes of a charge: whether it exited, is lost, how it ended, whether it is asleep."""
    with private_folder() as private:
        walls = walls_here(private) | {"warden": str(private / "w")}
        words = [sys.executable, "-c", RUN, json.dumps(walls), json.dumps(said), ends, lost]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("said", "result"),
    [
        (["ended 1 1792 4096"], [True, False, [7, None], False]),
        (["ended 1 9 0"], [True, False, [None, 9], False]),
        (["ended 1 127 0"], [True, False, [1, None], False]),  # of what is stopped: nothing waits for that
        (["sleep", "ended 1 9 0", "asleep 0"], [True, False, [None, 9], True]),
        (["sleep", "asleep 3"], [False, False, None, True]),
        (["sleep", "asleep 0", "start 2", "ended 1 9 0", "ended 2 0 0"], [True, False, [0, None], False]),
    ],
)
def test_what_can_be_said_is_taken(said: list[str], result: list[Any]) -> None:
    assert made_of(said)[1:] == result[1:]


@pytest.mark.parametrize(
    "said",
    [
        ["ended 2 0 0"],
        ["ended 1 x 0"],
        ["ended 1 -9 0"],
        ["ended 1 99999999999999999999999999 0"],
        ["ended 1 0"],
        ["asleep 0"],
        ["sleep", "asleep 0 0"],
        ["sleep", "ended 1 9 0", "ended 1 9 0"],
        ["sleep", "asleep 0", "start 2", "asleep 0"],
        ["hello"],
        ["\xff\xfe\x00"],
        [" "],
    ],
)
def test_what_cannot_loses_the_charge(said: list[str]) -> None:
    exited, lost, _, _ = made_of(said, lost="lost")
    assert (exited, lost) == (True, True)


def test_the_end_of_what_tends_it_loses_it_and_is_told() -> None:
    assert made_of([], ends="3") == [True, True, [3, None], False]
    assert made_of(["ended 1 1280 0"], ends="1")[1:] == [True, [5, None], False]
