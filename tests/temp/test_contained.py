"""What is put around servers, and what cannot be."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
if sys.platform == "win32":
    pytest.skip("Python has no Unix sockets there", allow_module_level=True)

from moorage.errors import LaunchError, UsageError
from moorage.places.docker import EngineInfo, open_engine
from moorage.plan.containers import GIVEN, PORT_LABEL, SERVER_LABEL, STATE_LABEL, ContainerKind
from moorage.plan.containers import NOTICE as NOTICE_THERE
from moorage.plan.visits import ServerId
from moorage.plan.walls import Share
from moorage.temp.commands import contained, own_command
from moorage.temp.contained import Containing, starter, surroundings
from moorage.temp.containers import ContainerServers
from moorage.temp.home import NOTICE, Home, make_home
from moorage.temp.processes import ServerProcesses, ServerStarter
from moorage.temp.settings import TempSettings
from moorage.temp.template.choice import ServerTemplates
from moorage.temp.walled import Surroundings
from places.fake_engine import FakeEngine, fake_engine

pytestmark = pytest.mark.anyio
LAB = contained("lab", "", ContainerKind("lab"))
S1 = ServerId("a1")


def settings(fake: FakeEngine, state: Path, **more: object) -> TempSettings:
    return TempSettings(state, LAB, engine=fake.socket, **more)


async def started(told: TempSettings, around: Surroundings | None) -> ServerStarter:
    async with starter(told, around, ServerTemplates(wanted=False)) as found:
        return found


async def test_a_service_is_told_what_is_around_its_servers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "moorage.temp")
    async with fake_engine() as fake:
        told = settings(fake, tmp_path, brake_after=1200.0)
        async with surroundings(told, elsewhere=True) as around:
            assert isinstance(around, Containing)
            assert isinstance(await started(told, around), ContainerServers)
            await around.prepare(LAB)
            env = around.environment(
                {**around.base(LAB), "JUPYTER_DEFAULT_PROVISIONER_NAME": "x", "JUPYTER_PATH": f"{NOTICE}:/a"}
            )
            assert env["JUPYTER_PATH"] == f"{NOTICE_THERE}:/a"
            assert around.inside(Home(tmp_path, "t")).work == Path("/visitor/work")
            assert env["PATH"] == "/opt/bin"
            assert "JUPYTER_DEFAULT_PROVISIONER_NAME" not in env
            assert env["USER"] == "visitor"
            assert around.groups_of(S1) == ()
        assert "a container each, with a read-only system, no privileges, no network, by" in caplog.text
        assert "filters no system calls" in caplog.text
        assert "--memory would" in caplog.text
        assert "is not lowered: the groups of containers are the engine's" in caplog.text
        assert "Each may take 512 MiB" in caplog.text


async def test_without_an_engine_there_are_walls_or_none(tmp_path: Path) -> None:
    told = TempSettings(tmp_path, LAB, walls=False)
    async with surroundings(told, elsewhere=False) as around:
        assert around is None
        assert isinstance(await started(told, around), ServerProcesses)


async def test_an_engine_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    told = TempSettings(tmp_path, LAB, engine=tmp_path / "none")
    with pytest.raises(UsageError, match=r"engine at .*none does not answer.*--docker-socket or DOCKER_HOST"):
        async with surroundings(told, elsewhere=False):
            raise AssertionError


async def test_what_is_missing_is_told_with_what_to_type(tmp_path: Path) -> None:
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        around = Containing(engine, EngineInfo(memory_limit=False), tmp_path)
        with pytest.raises(UsageError, match=r"there is no image no .*Type: docker pull no"):
            await around.prepare(contained("lab", "", ContainerKind("no")))
        with pytest.raises(UsageError, match="memory cannot be kept"):
            await around.check(Share(memory=1 << 30))
        await around.check(Share(cpus=1))
        around = Containing(engine, EngineInfo(cpu_cfs_quota=False), tmp_path)
        with pytest.raises(UsageError, match="cpus cannot be kept"):
            await around.check(Share(cpus=1))
        with pytest.raises(UsageError, match=r"there is no network no .*Type: docker network create no"):
            await around.prepare(contained("lab", "", ContainerKind("lab", network="no")))
        await around.prepare(contained("lab", "", ContainerKind("lab", network="some")))
        await fake.stop()
        with pytest.raises(UsageError, match="does not answer"):
            await around.prepare(LAB)


async def test_a_container_reads_what_its_visitor_begins_with(tmp_path: Path) -> None:
    content = tmp_path / "content"
    (content / "deep").mkdir(parents=True)
    (content / "deep" / "secret").write_text("x")
    (content / "deep" / "secret").chmod(0o600)
    (content / "deep").chmod(0o700)
    (content / "away").symlink_to("/etc/passwd")
    home = await make_home(tmp_path / "a1", content)
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        around = Containing(engine, EngineInfo(), tmp_path)
        body = await around.walls_of(S1, LAB, home, {}, 61001, Share())
    assert body["Labels"] == {STATE_LABEL: str(tmp_path), SERVER_LABEL: "a1", PORT_LABEL: "61001"}
    seen = {each["Target"]: each["Source"] for each in body["HostConfig"]["Mounts"]}
    assert (seen[GIVEN], seen[NOTICE_THERE]) == (str(home.path), str(NOTICE))
    assert ":/visitor/home:" in Path(seen["/etc/passwd"]).read_text()
    for path in (home.path, home.token_file, home.work / "deep" / "secret", home.work / "deep"):
        assert path.stat().st_mode & 0o044 == 0o044
    assert (home.work / "away").is_symlink()


async def test_a_user_that_is_named_is_taken_as_it_is(tmp_path: Path) -> None:
    home = await make_home(tmp_path / "a1", None)
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        command = contained("lab", "", ContainerKind("lab", "jovyan"))
        body = await Containing(engine, EngineInfo(), tmp_path).walls_of(S1, command, home, {}, 0, Share())
    assert body["User"] == "jovyan"
    assert "/etc/passwd" not in {each["Target"] for each in body["HostConfig"]["Mounts"]}
    assert PORT_LABEL not in body["Labels"]


async def test_what_cannot_be_prepared_is_told(tmp_path: Path) -> None:
    home = await make_home(tmp_path / "a1", None)
    (home.path / "passwd").mkdir()
    async with fake_engine() as fake, open_engine(fake.socket) as engine:
        around = Containing(engine, EngineInfo(), tmp_path)
        with pytest.raises(LaunchError, match="cannot be prepared"):
            await around.walls_of(S1, LAB, home, {}, 0, Share())
        with pytest.raises(LaunchError, match="has no image"):
            around.base(own_command("x {socket}"))
