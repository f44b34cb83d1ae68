"""``moorage temp --acceptors``: several processes take the visitors of one service."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_temp_run import TOY, Temp, running
from command import DEADLINE, Command, typed_in, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


def acceptors(temp: Temp) -> set[int]:
    pid = temp.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(each) for each in children if b"temp_acceptor" in words(int(each))}


def words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_all_know_each_server_at_once_and_none_knows_one_that_has_ended(command: Command) -> None:
    with running(command, "--command", TOY, "--acceptors", "3", "--capacity", "4") as temp:
        assert len(acceptors(temp)) == 3
        visits = []
        for _ in range(4):
            temp.cookies = {}
            path = temp.server()
            visits.append((path, dict(temp.cookies)))
            assert {temp.ask("GET", path)[0] for _ in range(12)} == {200}
        path, temp.cookies = visits[0]
        assert temp.ask("GET", visits[1][0])[0] == 404  # another's
        token = temp.ask("GET", "/server")[2].split('name="token" value="')[1].split('"')[0]
        temp.ask("POST", "/end", f"token={token}&to=")
        assert until(lambda: {temp.ask("GET", path)[0] for _ in range(12)} == {404}, DEADLINE)
        for path, temp.cookies in visits[1:]:
            assert temp.ask("GET", path)[0] == 200


def test_all_know_servers_at_hosts_of_their_own(command: Command) -> None:
    with running(command, "--command", TOY, "--acceptors", "3", "--host-routing") as temp:
        host = temp.own_host()
        assert {temp.ask("GET", "/x", Host=host)[0] for _ in range(12)} == {200}
        sibling = {"Host": host, "Origin": f"http://0123456789abcdef.localhost:{temp.port}"}
        assert {temp.ask("POST", "/x", "", **sibling)[0] for _ in range(6)} == {404}
        temp.cookies = {}
        assert {temp.ask("GET", "/x", Host=host)[0] for _ in range(12)} == {303}


def test_a_killed_one_costs_no_visitor_its_server(command: Command) -> None:
    with running(command, "--command", TOY, "--acceptors", "2") as temp:
        path = temp.server()
        before = acceptors(temp)
        os.kill(min(before), signal.SIGKILL)
        assert {temp.ask("GET", path)[0] for _ in range(12)} == {200}
        assert until(lambda: len(acceptors(temp) - {min(before)}) == 2, DEADLINE)
        assert {temp.ask("GET", path)[0] for _ in range(12)} == {200}


def test_a_killed_service_takes_them_with_it_and_the_next_one_has_the_servers(command: Command) -> None:
    with running(command, "--command", TOY, "--acceptors", "2") as temp:
        path = temp.server()
        run = json.loads(temp.ask("GET", path)[2])["run"]
        pids = acceptors(temp)
        temp.process.kill()
        temp.process.wait()
        assert until(lambda: not any(map(words, pids)), DEADLINE)
    with running(command, "--command", TOY, "--acceptors", "2") as again:
        again.cookies = temp.cookies
        assert json.loads(again.ask("GET", path)[2])["run"] == run


def test_what_visitors_do_counts_as_use(command: Command) -> None:
    with running(command, "--command", TOY, "--acceptors", "2", "--idle", "8") as temp:
        path = temp.server()
        used = [0]

        def is_culled() -> bool:
            used[0] += 1
            temp.ask("POST", path, "x")
            return "was not used" in temp.said()

        assert not until(is_culled, 16)
        assert used[0] > 1
        assert until(lambda: "was not used for 8 s" in temp.said(), DEADLINE)


def test_no_secret_is_in_their_arguments(command: Command) -> None:
    with running(command, "--command", TOY, "--acceptors", "2", "--title", "A course") as temp:
        path = temp.server()
        secrets = [value.encode() for value in temp.cookies.values()]
        for pid in acceptors(temp):
            said = words(pid) + Path(f"/proc/{pid}/environ").read_bytes()
            assert b"A course" in said
            assert not any(each in said for each in secrets)
        assert temp.ask("GET", path)[0] == 200


def test_a_number_that_cannot_be(command: Command) -> None:
    done = command("temp", "--acceptors", "0", "--command", TOY, code=2)
    assert "--acceptors 0 cannot be" in done.stderr
