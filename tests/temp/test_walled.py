"""Servers behind walls: reached, used, ended and taken over as others, and what they may see."""

from __future__ import annotations

import io
import logging
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.errors import LaunchError, UsageError
from moorage.plan.control_groups import Controller, GroupsGiven, ParentGroup
from moorage.plan.egress import egress_list
from moorage.plan.visits import ServerId
from moorage.plan.walls import Share, WallsGiven, planned
from moorage.process import control_groups
from moorage.process.walls import probe
from moorage.process.walls.probe import given
from moorage.temp.commands import own_command
from moorage.temp.home import Home
from moorage.temp.settings import TempSettings
from moorage.temp.walled import PORT, Walling, check_kept, put_up
from temp.rig import TOY, service, toy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux" or bool(given().why), reason=f"no walls: {given().why}"),
]


@pytest.mark.parametrize("address", ["{socket} {base_path}", "{port} {base_path}"])
async def test_a_visitor_gets_a_server_behind_walls(tmp_path: Path, address: str) -> None:
    content = tmp_path / "content"
    content.mkdir()
    (content / "a.txt").write_text("content")
    async with service(toy(address), walls=True, content=content) as rig:
        async with rig.browser() as ann, rig.browser() as ben:
            servers = []
            for browser in (ann, ben):
                answer = await browser.follow(await browser.press())
                assert answer.status == 200, answer.text
                said = answer.said
                servers.append(said["path"].split("/")[2])
                assert said["pid"] in (2, 3)  # beside process 1, and what leads to a port
                assert said["work"] == ["a.txt"]
                assert said["env"]["USER"] == "visitor" if "USER" in os.environ else True
                assert "TMPDIR" not in said["env"]
            assert servers[0] != servers[1]
            archive = zipfile.ZipFile(io.BytesIO(await _bytes(ann, "/download")))
            assert {name: archive.read(name) for name in archive.namelist()} == {"a.txt": b"content"}
            assert (await ben.get(f"/user/{servers[0]}/")).status == 404
        assert set(rig.left()) <= set(servers)


async def _bytes(browser, path: str) -> bytes:
    async with browser.session.get(browser.origin + path) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_how_it_ended_is_told(tmp_path: Path) -> None:
    async with service(walls=True, env={"TOY": "die"}) as rig, rig.browser() as ann:
        answer = await ann.follow(await ann.press())
        assert "exit code 3" in answer.text
        assert "no licence for x" in answer.text


async def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    async with (
        service(walls=True, content=tmp_path, share=Share(disk=2 << 20)) as rig,
        rig.browser() as ann,
    ):
        answer = await ann.follow(await ann.press())
        assert "larger than the files that a visitor may have" in answer.text
        assert "--disk" in answer.text


def walling(state: Path, **changed: object) -> Walling:
    found = given()
    return Walling(planned(found, wanted=True), found, state, **changed)


async def test_a_program_is_seen_with_its_python_and_what_is_named(tmp_path: Path) -> None:
    state = tmp_path / "state"
    script = tmp_path / "bin" / "serve"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nprint(1)\n")
    script.chmod(0o755)
    command = own_command(f"{script} {{socket}} --with {TOY}")
    home = Home(state / "servers" / "0f", "t")
    env = {"PATH": os.defpath, "JUPYTER_PATH": f"{tmp_path}/bin:/no/such/folder"}
    walls = await walling(state, readable=(tmp_path / "bin",)).walls_of(
        ServerId("0f"), command, home, env, PORT, Share(disk=3 << 20)
    )
    assert {str(script), sys.prefix, sys.base_prefix, f"{tmp_path}/bin"} <= {*walls["readable"]}
    assert "/no/such/folder" not in walls["readable"]
    assert walls["hidden"] == [str(state)]
    assert walls["disk"] == 3 << 20
    assert walls["relay"] == [str(home.socket), PORT]
    if os.geteuid() == 0:
        assert walls["user"] == walls["group"] != 0
        assert f"visitor:x:{walls['user']}:" in walls["files"]["/etc/passwd"]


async def test_no_home_directory_is_shown_unless_it_is_asked_for(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "ann"))
    (tmp_path / "home" / "ann").mkdir(parents=True)
    command = own_command(f"cat {tmp_path}/home {tmp_path}/home/ann {{socket}}")
    caplog.set_level(logging.WARNING, "moorage.temp")
    home, env = Home(tmp_path / "s", "t"), {"PATH": os.defpath}
    seen = (await walling(tmp_path / "s").walls_of(ServerId("1"), command, home, env, 0, Share()))["readable"]
    assert not {str(tmp_path / "home"), str(tmp_path / "home" / "ann")} & {*seen}
    assert "Visitors cannot read" in caplog.text
    asked = walling(tmp_path / "s", readable=(tmp_path / "home" / "ann",))
    seen = (await asked.walls_of(ServerId("1"), command, home, env, 0, Share()))["readable"]
    assert str(tmp_path / "home" / "ann") in seen
    assert str(tmp_path / "home") not in seen


@pytest.fixture
def settings(tmp_path: Path) -> TempSettings:
    return TempSettings(state=tmp_path, command=toy())


async def test_visitors_of_other_machines_need_walls(settings, monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO, "moorage.temp")
    lacking = WallsGiven("The sysctl x is 0", "Type: sysctl x=1")
    monkeypatch.setattr(probe, "given", lambda: lacking)
    with pytest.raises(UsageError) as refused:
        await put_up(settings, elsewhere=True)
    assert "no visitors of other machines are let in without walls" in str(refused.value)
    assert "The sysctl x is 0. Type: sysctl x=1, or accept" in str(refused.value)
    assert "--i-accept-no-isolation" in str(refused.value)
    assert caplog.text == ""
    assert await put_up(settings, elsewhere=False) is None
    assert "No walls between visitors: the sysctl x is 0" in caplog.text


async def test_what_is_accepted_or_not_wanted(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO, "moorage.temp")
    settings = TempSettings(state=tmp_path, command=toy(), walls=False, brake_after=600.0)
    with pytest.raises(UsageError, match="switched off"):
        await put_up(settings, elsewhere=True)
    accepted = replace(settings, accepted=True)
    assert await put_up(accepted, elsewhere=True) is None
    assert "without its visitor is not lowered: a server goes into its group as it goes behind" in caplog.text
    caplog.clear()
    found = await put_up(TempSettings(state=tmp_path, command=toy()), elsewhere=True)
    assert found is not None
    assert found.strict
    assert "Walls between visitors: files, processes, network" in caplog.text
    assert "without its visitor" not in caplog.text  # it may compute for ever
    assert "Each may reach" not in caplog.text


async def test_what_may_be_reached_is_told_and_needs_walls(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO, "moorage.temp")
    egress = egress_list(["pypi.org", "10.0.0.5:3141"])
    with pytest.raises(UsageError, match=r"--egress needs walls \(E-USAGE\). They are switched off"):
        await put_up(TempSettings(state=tmp_path, command=toy(), walls=False, egress=egress), elsewhere=False)
    assert await put_up(TempSettings(state=tmp_path, command=toy(), egress=egress), elsewhere=False)
    assert "Each may reach pypi.org, 10.0.0.5:3141, and nothing else of the network" in caplog.text


async def test_groups_are_made_for_a_server_and_named_in_its_walls(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    parents = tuple(ParentGroup(str(tmp_path / name), frozenset({Controller.MEMORY})) for name in ("a", "b"))
    command, home = own_command("cat {socket}"), Home(tmp_path / "s", "t")
    found = walling(tmp_path, parents=parents)
    walls = await found.walls_of(ServerId("0f"), command, home, {"PATH": os.defpath}, 0, Share())
    folders = [str(tmp_path / name / "moorage-0f") for name in ("a", "b")]
    assert [*found.groups_of(ServerId("0f"))] == folders
    assert walls["groups"] == [f"{folder}/cgroup.procs" for folder in folders]
    assert all(Path(folder).is_dir() for folder in folders)
    with pytest.raises(LaunchError, match="no control group can be made for a server") as failed:
        await found.walls_of(ServerId("0f"), command, home, {"PATH": os.defpath}, 0, Share())
    assert failed.value.why == "File exists"


async def test_a_limit_that_cannot_be_kept_is_refused(tmp_path, monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO, "moorage.temp")
    lacking = GroupsGiven(why="None can be made in /x: Permission denied", do="Run it as root")

    async def given_none(share: Share) -> GroupsGiven:
        return lacking

    monkeypatch.setattr(control_groups, "given", given_none)
    asked = TempSettings(state=tmp_path, command=toy(), share=Share(memory=1 << 30))
    with pytest.raises(UsageError) as refused:
        await put_up(asked, elsewhere=False)
    assert "--memory cannot be kept for visitors" in str(refused.value)
    assert "None can be made in /x: Permission denied. Run it as root" in str(refused.value)
    assert caplog.text == ""
    found = await put_up(TempSettings(state=tmp_path, command=toy()), elsewhere=False)
    assert found is not None
    for walls, why in ((found, "None can be made in /x"), (None, "and there are none")):
        with pytest.raises(UsageError, match=r"^cpus cannot be kept for visitors") as offered:
            await check_kept(Share(cpus=0.5), walls)
        assert why in str(offered.value)
        await check_kept(Share(), walls)
    assert found.parents == ()
    assert "No control groups bound the memory of a visitor" in caplog.text
