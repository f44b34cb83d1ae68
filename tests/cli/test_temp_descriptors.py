"""``moorage temp`` where descriptors are few: a crowd, of which as many are let in as can be served."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from cli.test_temp_run import TOY, Temp
from command import DEADLINE, Command, typed_in, until
from temp.rig import Answer, Browser

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and figures are Linux's"),
]
CROWD = 60


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


@contextmanager
def limited(command: Command, soft: int, hard: int, *words: object) -> Iterator[Temp]:
    """Run it with few descriptors."""
    line = ["temp", "--port", "0", "--state", command.runtime / "state", "--env", "MOORAGE_TEST_RUN"]
    line += ["--lease", "300", *words]  # should this process be killed
    script = f"ulimit -Sn {soft}; ulimit -Hn {hard}; exec " + '"$@"'
    argv = ["bash", "-c", script, "limited", sys.executable, "-m", "moorage", *map(str, line)]
    log = command.cwd / "log"
    with log.open("wb") as file:
        process = command.launch(argv, stdout=file, stderr=file)
        try:
            yield Temp(process, log)
        finally:
            process.send_signal(signal.SIGINT)
            ended = command.ended(process).code
        assert ended == 0, log.read_text()


def fitting(temp: Temp) -> int:
    """Return how many servers it says that there can be."""
    found = re.search(
        r"Descriptors \(\d+\) are enough for (\d+) of the 60 servers of --capacity", temp.said()
    )
    assert found is not None, temp.said()
    return int(found[1])


class Crowd:
    """What became of visitors."""

    def __init__(self, temp: Temp, fit: int) -> None:
        self.temp, self.fit = temp, fit
        self.inside = self.most = self.served = self.queued = 0
        self.full = asyncio.Event()

    async def come(self) -> None:
        """Visit as a browser does: press, wait as the pages say, and work once let in."""
        jar = aiohttp.CookieJar(unsafe=True)
        timeout = aiohttp.ClientTimeout(total=DEADLINE)
        connector = aiohttp.TCPConnector(limit=6)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, connector=connector) as session:
            browser = Browser(session, f"http://127.0.0.1:{self.temp.port}")
            answer = await self.let_in(browser)
            if served(answer):
                await self.work(browser, answer.said["path"])
            self.served += 1

    async def let_in(self, browser: Browser) -> Answer:
        async with asyncio.timeout(DEADLINE):
            answer = await browser.get("/")
            while True:
                if fields := dict(re.findall(r'name="(token|to|offer)" value="([^"]*)"', answer.text)):
                    answer = await browser.ask("POST", "/start", fields)
                answer = await browser.follow(answer)
                if answer.status != 503:
                    return answer
                assert int(answer.headers["Retry-After"]) > 0
                waits = "in the queue" in answer.text
                assert waits or "There is a crowd here" in answer.text or "can wait" in answer.text
                self.queued += waits
                await asyncio.sleep(0.2)  # as the refresh of the page does, which takes longer
                answer = await browser.get("/queue?to=" if waits else "/")

    async def work(self, browser: Browser, path: str) -> None:
        """Use the server for as long as the crowd is new, with as many connections as a browser has."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.inside == self.fit:
            self.full.set()

        async def ask() -> None:
            while True:
                if not served(await browser.ask("POST", path, b"x")) or self.full.is_set():
                    return

        async with asyncio.TaskGroup() as tasks:
            for _ in range(6):
                tasks.create_task(ask())
        self.inside -= 1


def served(answer: Answer) -> bool:
    """Tell whether the server answers, or has ended because this crowd left it without use for so long."""
    idle = answer.status == 404 and "it was not used for" in answer.text
    assert idle or answer.status == 200, answer.text
    return not idle


@pytest.mark.drill
@pytest.mark.parametrize(("acceptors", "least", "most"), [(1, 5, 8), (2, 12, 20)])
async def test_a_crowd_at_256_descriptors(command: Command, acceptors: int, least: int, most: int) -> None:
    words = ["--command", TOY, "--capacity", CROWD, "--idle", "3", "--acceptors", acceptors]
    with limited(command, 256, 256, *words) as temp:
        fit = fitting(temp)
        assert least <= fit <= most
        crowd = Crowd(temp, fit)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CROWD):
                tasks.create_task(crowd.come())
        assert crowd.served == CROWD  # those that are not used any more made room for others
        assert crowd.queued
        said = temp.said()
        assert "unexpectedly" not in said
        assert "could not be" not in said
        started = [
            (int(number), int(most)) for number, most in re.findall(r"starts \((\d+) of (\d+)\)", said)
        ]
        assert all(number <= most <= fit + 1 for number, most in started)  # as many as fit at that time
        assert until(lambda: (command.runtime / "state/servers").exists() and not left(command), DEADLINE)


def left(command: Command) -> list[Path]:
    return list((command.runtime / "state/servers").iterdir())


def test_a_storm_of_connections_takes_nothing_from_those_that_are_in(command: Command) -> None:
    with limited(command, 256, 256, "--command", TOY, "--capacity", CROWD) as temp:
        path = temp.server()
        for _ in range(3):
            storm = [socket.create_connection(("127.0.0.1", temp.port), timeout=DEADLINE) for _ in range(500)]
            assert until(lambda: asked(temp, path) == 200, DEADLINE)  # silent ones are closed after a second
            for each in storm:
                each.close()
        assert temp.ask("POST", path, "x")[0] == 200
        temp.cookies = {}
        assert until(lambda: asked(temp, "/") == 200, DEADLINE)
        temp.server()


def asked(temp: Temp, path: str) -> int:
    """Return the status, or 0 where the connection is refused: so many came at once."""
    try:
        return temp.ask("GET", path)[0]
    except OSError:
        return 0


def test_the_hard_limit_is_used(command: Command) -> None:
    with limited(command, 128, 512, "--command", TOY, "--capacity", CROWD) as temp:
        assert "Descriptors (512) are enough for " in temp.said()
        assert 10 <= fitting(temp) <= 20


def test_too_few_descriptors_for_one_server(command: Command) -> None:
    script = f'ulimit -n 64; exec {sys.executable} -m moorage temp --port 0 --state "$0" --command "$1"'
    process = command.launch(["bash", "-c", script, str(command.runtime / "state"), TOY])
    done = command.ended(process, code=2)
    assert "64 descriptors are too few for a server" in done.stderr
    assert "ulimit -Hn" in done.stderr
