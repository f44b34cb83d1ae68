"""Brakes over control groups that are files of a folder; real ones: ``tests/real/test_temp_brake.py``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moorage.plan.visits import ServerId
from moorage.plan.walls import Share
from moorage.temp import braking
from moorage.temp.brake_told import BrakeTold
from moorage.temp.braking import Brakes
from moorage.temp.home import Home
from moorage.temp.record import ServerRecord
from moorage.temp.server import Serving

pytestmark = pytest.mark.anyio
SERVER = ServerId("0123456789abcdef")
AFTER, STEP = 1200.0, 30.0


@dataclass
class Bench:
    """Brakes, a clock, and the group of a server."""

    brakes: Brakes
    folder: Path
    serving: dict[ServerId, Serving]
    inputs: dict[ServerId, float]
    clock: SimpleNamespace
    tasks: asyncio.TaskGroup
    used: float = 0.0
    begun: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, seconds: float, used: float = 1.0) -> None:
        """Let time go by in which a part of a processor is used, and look as often as it is counted."""
        for _ in range(round(seconds / STEP)):
            self.clock.now += STEP
            self.used += used * STEP
            self.count()
            self.brakes.look()
            for task in self.begun:
                await task
            self.begun.clear()

    def count(self) -> None:
        (self.folder / "cpu.stat").write_text(f"usage_usec {round(self.used * 1e6)}\n")

    @property
    def weight(self) -> str:
        return (self.folder / "cpu.weight").read_text().strip()

    def state(self) -> str:
        told = self.brakes.told(SERVER)
        return "none" if told is None else told.state


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    made = SimpleNamespace(now=5000.0)
    made.monotonic = made.time = lambda: made.now
    monkeypatch.setattr(braking, "time", made)
    return made


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, logger="moorage.temp"):
        yield


@asynccontextmanager
async def bench(
    tmp_path: Path, clock: SimpleNamespace, weight: str = "100", **more: Any
) -> AsyncIterator[Bench]:
    folder = tmp_path / f"moorage-{SERVER}"
    folder.mkdir()
    (folder / "cpu.weight").write_text(f"{weight}\n")
    fields = {"groups": (str(folder),), "brake": AFTER, "share": Share()} | more
    record = ServerRecord(None, "unix:/s", "/", False, False, **fields)
    serving = {SERVER: Serving(record, Home(Path("/state") / SERVER, ""))}
    inputs = {SERVER: clock.now}
    async with asyncio.TaskGroup() as tasks:
        begun: list[asyncio.Task[None]] = []
        kept = SimpleNamespace(create_task=lambda work: begun.append(tasks.create_task(work)))
        brakes = Brakes(serving, inputs.get, kept)
        brakes.admitted(SERVER, serving[SERVER])
        yield Bench(brakes, folder, serving, inputs, clock, tasks, begun=begun)


async def test_a_share_is_lowered_and_raised_by_input(
    tmp_path: Path, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench(tmp_path, clock) as it:
        await it.run(AFTER)
        assert (it.state(), it.weight, it.brakes.lowered) == ("full", "100", 0)
        await it.run(STEP)
        assert (it.state(), it.weight, it.brakes.lowered) == ("lowered", "10", 1)
        await it.run(AFTER / 4)
        assert it.brakes.told(SERVER) == BrakeTold(AFTER, "asked", 1500.0)
        it.inputs[SERVER] = clock.now + 1
        await it.run(STEP)
        assert (it.state(), it.weight) == ("full", "100")
    assert [each.getMessage() for each in caplog.records] == [
        (
            f"Server {SERVER} has computed for 20 min without its visitor: "
            "its share of the processors is lowered"
        ),
        f"Server {SERVER}: its visitor is asked whether it is to go on computing",
        f"Server {SERVER} has its whole share of the processors again",
    ]


async def test_input_while_all_is_well_puts_it_off(tmp_path: Path, clock: SimpleNamespace) -> None:
    async with bench(tmp_path, clock) as it:
        for _ in range(3):
            await it.run(AFTER - 60)
            it.inputs[SERVER] = clock.now
        assert it.state() == "full"


async def test_processor_time_is_read_seldom(tmp_path: Path, clock: SimpleNamespace) -> None:
    async with bench(tmp_path, clock) as it:
        await it.run(STEP)
        (it.folder / "cpu.stat").unlink()
        for _ in range(28):
            clock.now += 1
            it.brakes.look()
        assert it.begun == []
        clock.now += 2
        it.brakes.look()
        assert len(it.begun) == 1


async def test_the_answer_gives_the_whole_share_back(tmp_path: Path, clock: SimpleNamespace) -> None:
    async with bench(tmp_path, clock) as it:
        await it.run(AFTER + STEP)
        it.brakes.go_on(SERVER)
        assert (it.state(), it.weight) == ("full", "100")
        it.brakes.go_on(ServerId("another"))


async def test_a_question_that_is_not_answered_ends_the_reprieve(
    tmp_path: Path, clock: SimpleNamespace
) -> None:
    async with bench(tmp_path, clock) as it:
        await it.run(1.25 * AFTER + 60)
        assert it.brakes.reprieves(SERVER)
        await it.run(AFTER)
        assert not it.brakes.reprieves(SERVER)
        it.brakes.go_on(SERVER)
        assert it.brakes.reprieves(SERVER)
        assert it.brakes.reprieves(ServerId("another"))


@pytest.mark.parametrize("weight", ["10", "100"])
async def test_what_an_earlier_service_did_is_found_in_the_group(
    tmp_path: Path, clock: SimpleNamespace, weight: str
) -> None:
    async with bench(tmp_path, clock, weight) as it:
        assert it.state() == ("lowered" if weight == "10" else "full")
        it.inputs[SERVER] += 1
        await it.run(STEP)
        assert (it.state(), it.weight) == ("full", "100")


async def test_a_cap_is_the_whole_of_a_server(tmp_path: Path, clock: SimpleNamespace) -> None:
    async with bench(tmp_path, clock, share=Share(cpus=0.5)) as it:
        await it.run(AFTER + STEP, used=0.46)
        assert it.state() == "lowered"


@pytest.mark.parametrize("more", [{"brake": 0.0}, {"groups": ()}, {"groups": ("/sys/fs/cgroup/docker/1",)}])
async def test_others_have_no_brake(tmp_path: Path, clock: SimpleNamespace, more: dict[str, Any]) -> None:
    async with bench(tmp_path, clock, **more) as it:
        await it.run(2 * AFTER)
        assert it.brakes.told(SERVER) is None
        assert it.brakes.reprieves(SERVER)


async def test_a_server_that_has_ended_is_forgotten(tmp_path: Path, clock: SimpleNamespace) -> None:
    async with bench(tmp_path, clock) as it:
        await it.run(AFTER + STEP)
        it.serving.clear()
        await it.run(STEP)
        assert (it.state(), it.brakes.lowered) == ("none", 0)


async def test_groups_that_count_nothing_are_no_brake(tmp_path: Path, clock: SimpleNamespace) -> None:
    async with bench(tmp_path, clock) as it:
        it.brakes.look()
        (task,) = it.begun
        await task
        assert it.brakes.told(SERVER) is None


async def test_a_server_ends_while_it_is_looked_at(tmp_path: Path, clock: SimpleNamespace) -> None:
    async with bench(tmp_path, clock) as it:
        it.count()
        it.brakes.look()
        it.serving.clear()
        it.brakes.look()  # and no second look is begun beside the first
        (task,) = it.begun
        await task
        assert it.brakes.told(SERVER) is None


async def test_a_share_that_cannot_be_changed_is_told_once(
    tmp_path: Path, clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench(tmp_path, clock) as it:
        await it.run(AFTER)
        (it.folder / "cpu.weight").unlink()
        (it.folder / "cpu.weight").mkdir()
        await it.run(AFTER)
        assert it.brakes.told(SERVER) is None
    (said,) = [each.getMessage() for each in caplog.records]
    assert said.startswith(f"The share of server {SERVER} cannot be changed")
