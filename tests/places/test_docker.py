"""Asking Docker's engine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
if sys.platform == "win32":
    pytest.skip("Python has no Unix sockets there", allow_module_level=True)

from moorage.errors import UsageError
from moorage.places.docker import (
    USUAL,
    EngineInfo,
    EngineRefuses,
    EngineSilent,
    _plain,
    engine_socket,
    open_engine,
)
from places.fake_engine import PID, fake_engine

pytestmark = pytest.mark.anyio
BODY = {"Labels": {"a": "b"}}


async def test_a_container_is_made_found_and_removed() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        await engine.create("one", BODY)
        await engine.start("one")
        found = await engine.inspect("one")
        assert (found.state.running, found.state.pid, found.address) == (True, PID, "172.31.77.2")
        assert found.labels == {"a": "b"}
        assert await engine.labelled("a", "b") == ["one"]
        assert await engine.labelled("a", "c") == []
        fake.set_state("one", Running=False, ExitCode=3)
        await engine.wait("one")
        await engine.remove("one")
        await engine.remove("one")
        assert fake.made == {}


async def test_what_the_engine_says_is_told() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        with pytest.raises(EngineRefuses, match=r"GET /images/no/json.*No such thing: no") as caught:
            await engine.variables("no")
        assert caught.value.status == 404
        fake.refuses["DELETE"] = (500, "device busy")
        with pytest.raises(EngineRefuses, match="device busy"):
            await engine.remove("one")


async def test_one_that_is_being_removed_is_waited_for() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        fake.refuses["DELETE"] = (409, "removal of container one is already in progress")
        await engine.remove("one")
        assert fake.asked[-1] == "POST /containers/one/wait"


async def test_no_answer_is_told() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        await fake.stop()
        with pytest.raises(EngineSilent, match=rf"engine at {fake.socket} does not answer"):
            await engine.info()


async def test_what_is_no_engine_is_told() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        fake.info = ["no", "table"]  # type: ignore[assignment] - what no engine says
        with pytest.raises(EngineSilent, match="does not speak the API"):
            await engine.info()


async def test_waiting_can_be_cancelled() -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        await engine.create("one", BODY)
        await engine.start("one")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await engine.wait("one")
        assert "POST /containers/one/wait" in fake.asked


def test_what_was_written_is_read_without_its_frames() -> None:
    framed = b"\1\0\0\0\0\0\0\3abc\2\0\0\0\0\0\0\2d\xff"
    assert _plain(framed) == "abcd\N{REPLACEMENT CHARACTER}"
    assert _plain(b"as it is") == "as it is"
    assert _plain(b"\1\0") == "\1\0"
    assert _plain(b"") == ""


def test_which_engine(tmp_path: Path) -> None:
    assert engine_socket("/x/../a", {"DOCKER_HOST": "unix:///b"}) == Path("/a")
    assert engine_socket(None, {"DOCKER_HOST": "unix:///b"}) == Path("/b")
    (tmp_path / "docker.sock").touch()
    expected = USUAL if USUAL.exists() else tmp_path / "docker.sock"
    assert engine_socket(None, {"XDG_RUNTIME_DIR": str(tmp_path)}) == expected
    assert engine_socket(None, {}) == USUAL
    for text in ("tcp://127.0.0.1:2375", "ssh://host", "unix://a/b"):
        with pytest.raises(UsageError, match=r"DOCKER_HOST .* cannot be"):
            engine_socket(None, {"DOCKER_HOST": text})
    with pytest.raises(UsageError, match="--docker-socket"):
        engine_socket("tcp://x:1", {})


def test_what_the_engine_tells_of_user_ids() -> None:
    assert EngineInfo(security_options=["name=seccomp,profile=default", "name=rootless"]).rootless
    assert EngineInfo(security_options=["name=userns"]).remapped
    assert not EngineInfo(security_options=["name=seccomp"]).rootless
    assert not EngineInfo().remapped
    assert EngineInfo(security_options=["name=seccomp,profile=default"]).missing == []
    assert len(EngineInfo(pids_limit=False).missing) == 2
