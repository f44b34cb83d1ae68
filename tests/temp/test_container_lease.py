"""Containers of a service that was killed, and is not started again in time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
if sys.platform == "win32":
    pytest.skip("Python has no Unix sockets there", allow_module_level=True)

import fcntl

from moorage.plan.containers import STATE_LABEL
from moorage.temp.commands import own_command
from moorage.temp.contained import leased, starter
from moorage.temp.container_lease import ALL_REMOVED, FILE
from moorage.temp.settings import TempSettings
from moorage.temp.template.choice import ServerTemplates
from places.fake_engine import FakeEngine, fake_engine

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def killed(state: Path, generation: str = "1", word: bytes = b"") -> AsyncIterator[FakeEngine]:
    """Yield an engine with two containers, one of the service, when the lease of that has run out."""
    (state / "servers" / "a").mkdir(parents=True)
    (state / "lock").touch()
    (state / FILE).write_text("1")
    async with fake_engine() as fake:
        fake.made = {"a": {"Labels": {STATE_LABEL: str(state)}}, "b": {"Labels": {STATE_LABEL: "/another"}}}
        fake.states = {"a": {}, "b": {}}
        words = ["-P", "-m", "moorage.temp.container_lease", str(fake.socket), str(state), "0.1", generation]
        process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=asyncio.subprocess.PIPE)
        await process.communicate(word)
        assert process.returncode == 0
        yield fake


async def test_what_is_left_of_a_killed_service_is_removed(tmp_path: Path) -> None:
    async with killed(tmp_path) as fake:
        assert list(fake.made) == ["b"]
        assert [*(tmp_path / "servers").iterdir()] == []


async def test_what_is_left_of_a_state_directory_that_is_gone_is_removed(tmp_path: Path) -> None:
    state = tmp_path / "s"
    async with fake_engine() as fake:
        fake.made = {"a": {"Labels": {STATE_LABEL: str(state)}}}
        fake.states = {"a": {}}
        words = ["-P", "-m", "moorage.temp.container_lease", str(fake.socket), str(state), "3600", "1"]
        process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=asyncio.subprocess.PIPE)
        await process.communicate(b"")
        assert process.returncode == 0
        assert fake.made == {}


@pytest.mark.parametrize(("generation", "word"), [("0", b""), ("1", ALL_REMOVED)])
async def test_what_is_anothers_is_left(tmp_path: Path, generation: str, word: bytes) -> None:
    async with killed(tmp_path, generation, word) as fake:
        assert list(fake.made) == ["a", "b"]


async def test_what_a_new_service_has_is_left(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with killed(tmp_path) as fake:
            assert list(fake.made) == ["a", "b"]


async def test_a_service_with_processes_ends_containers_of_an_earlier_one(tmp_path: Path) -> None:
    settings = TempSettings(tmp_path, own_command("x {socket}"))
    async with fake_engine() as fake:
        fake.made = {"a": {"Labels": {STATE_LABEL: str(tmp_path)}}}
        fake.states = {"a": {}}
        (tmp_path / FILE).write_text(f"1\n{fake.socket}")
        async with starter(settings, None, ServerTemplates(wanted=False)):
            assert fake.made == {}
            assert not (tmp_path / FILE).exists()
        (tmp_path / FILE).write_text("1\n/nowhere")
        async with starter(settings, None, ServerTemplates(wanted=False)):
            assert not (tmp_path / FILE).exists()


async def test_a_service_that_ends_by_itself_leaves_no_process(tmp_path: Path) -> None:
    async with leased(Path("/nowhere"), tmp_path, 3600.0) as process:
        assert process.returncode is None
        assert (tmp_path / FILE).read_text()
    assert process.returncode == 0
