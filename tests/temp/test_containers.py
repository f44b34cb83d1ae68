"""Servers as containers: by an engine that keeps books alone. tests/real/test_temp_docker.py has another."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
if sys.platform == "win32":
    pytest.skip("Python has no Unix sockets there", allow_module_level=True)

from command import DEADLINE
from moorage.errors import LaunchError
from moorage.places.docker import ContainerState, open_engine
from moorage.plan.containers import SERVER_LABEL, STATE_LABEL
from moorage.plan.visits import ServerId
from moorage.temp import containers
from moorage.temp.containers import ContainerServers, end_of, groups_of
from moorage.temp.processes import FoundServers, ServerStart
from places.fake_engine import PID, FakeEngine, fake_engine

pytestmark = pytest.mark.anyio
ENDED = "its container ended: "
S1 = ServerId("s1")
STATE = Path("/state")


def start(server: str = "s1") -> ServerStart:
    labels = {STATE_LABEL: str(STATE), SERVER_LABEL: server}
    walls = {"Labels": labels, "Entrypoint": ["/bin/sh", "/private"]}
    return ServerStart(("lab", "--x"), Path("/"), {"A": "b"}, walls=walls)


class Left:
    """Finds a process that an earlier service had, and tells whether that was ended."""

    ended = False

    async def find(self) -> FoundServers:
        return FoundServers({ServerId("old"): self}, {})  # type: ignore[dict-item] - it is asked to end alone

    async def end(self, grace: float = 0) -> None:
        self.ended = True


def servers(engine, left: Left | None = None) -> ContainerServers:
    return ContainerServers(engine, STATE, left or Left())  # type: ignore[arg-type] - as above


async def become(true, seconds: float = DEADLINE) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_container_tells_its_end_and_what_it_said() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        async with servers(engine).start(S1, start()) as server:
            assert fake.made["moorage-s1"]["Cmd"] == ["lab", "--x"]
            assert fake.made["moorage-s1"]["Env"] == ["A=b"]
            assert (server.pid, server.address, server.sleeps, server.asleep) == (PID, "", False, False)
            fake.said = b"bye"
            fake.set_state("moorage-s1", Running=False, ExitCode=4)
            assert (await server.ended()).words == "its container ended: exit code 4"
            assert await server.said() == "bye"
        assert fake.made == {}
        assert await server.said() == ""
        assert (await server.ended()).words == "its container was removed"
        for refused in (server.sleep(), server.wake(start())):
            with pytest.raises(LaunchError):
                await refused


async def test_one_that_is_cancelled_while_it_is_made_is_removed() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        fake.slow = asyncio.Event()

        async def run() -> None:
            async with servers(engine).start(S1, start()):
                raise AssertionError

        task = asyncio.get_running_loop().create_task(run())
        await become(lambda: "POST /containers/create" in fake.asked)
        task.cancel()
        await asyncio.sleep(0)
        fake.slow.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert fake.made == {}
        assert "DELETE /containers/moorage-s1" in fake.asked


async def test_what_cannot_be_started_is_removed_and_told() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        fake.refuses["POST /containers/moorage-s1/start"] = (500, "no such file: /bin/sh")
        with pytest.raises(LaunchError, match="no such file: /bin/sh"):
            async with servers(engine).start(S1, start()):
                raise AssertionError
        assert fake.made == {}


async def test_an_engine_that_is_started_anew_ends_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "LONGEST_PAUSE", 0.05)
    async with (
        fake_engine() as fake,
        open_engine(fake.socket) as engine,
        servers(engine).start(S1, start()) as server,
    ):
        ended = asyncio.get_running_loop().create_task(server.ended())
        await become(lambda: "POST /containers/moorage-s1/wait" in fake.asked)
        await fake.stop()
        await asyncio.sleep(0.2)
        assert not ended.done()
        fake.asked.clear()
        await fake.start()
        await become(lambda: "POST /containers/moorage-s1/wait" in fake.asked)
        fake.set_state("moorage-s1", Running=False, ExitCode=137, OOMKilled=True)
        assert (await ended).out_of_memory


async def test_what_an_earlier_service_left_is_found_and_what_ended_is_told() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        for name in ("s1", "s2"):
            await _left(fake, name)
        fake.made["moorage-other"] = {"Labels": {STATE_LABEL: "/another", SERVER_LABEL: "other"}}
        fake.said = b"last words"
        fake.set_state("moorage-s2", Running=False, ExitCode=1)
        left = Left()
        found = await servers(engine, left).find()
        assert left.ended
        assert list(found.running) == ["s1"]
        assert (found.ended[ServerId("s2")].said, fake.made.keys()) == (
            "last words",
            {"moorage-s1", "moorage-other"},
        )
        await found.running[S1].end()
        assert fake.made.keys() == {"moorage-other"}


async def _left(fake: FakeEngine, server: str) -> None:
    fake.made[f"moorage-{server}"] = {**(start(server).walls or {})}
    fake.set_state(f"moorage-{server}", Running=True, Pid=7)


async def test_what_cannot_be_removed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        async with servers(engine).start(S1, start()):
            fake.refuses["DELETE"] = (500, "device busy")
        assert "moorage-s1 is not removed" in caplog.text
        assert "device busy" in caplog.text


@pytest.mark.parametrize(
    ("state", "words", "starved"),
    [
        (ContainerState(exit_code=3), "its container ended: exit code 3", False),
        (ContainerState(exit_code=0), "its container ended: exit code 0", False),
        (ContainerState(exit_code=139), "its container ended: killed by SIGSEGV", False),
        (ContainerState(exit_code=137), "its container ended: killed by SIGKILL, cause unknown", False),
        (
            ContainerState(exit_code=137, out_of_memory=True),
            f"{ENDED}killed: out of memory",
            True,
        ),
        (ContainerState(exit_code=1, out_of_memory=True), "its container ended: exit code 1", False),
        (ContainerState(exit_code=127, error="no sh"), "its container ended: exit code 127: no sh", False),
    ],
)
def test_how_it_ended(state: ContainerState, words: str, starved: bool) -> None:
    end = end_of(state)
    assert (end.words, end.out_of_memory) == (words, starved)


async def test_a_process_of_this_machine_is_no_container() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        fake.pid = os.getpid()
        with pytest.raises(LaunchError, match=r"another process namespace.*beside the engine"):
            async with servers(engine).start(S1, start()):
                raise AssertionError
        assert fake.made == {}


def test_no_container_has_a_warden() -> None:
    assert groups_of(2**30) == ()
    with pytest.raises(LaunchError, match="no warden"):
        servers(None).warden_of(S1)
