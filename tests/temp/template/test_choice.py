"""Which server is forked, from which template, and what becomes of it while there is none."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from moorage.temp.commands import known_command, own_command
from moorage.temp.template import choice
from moorage.temp.template.choice import ServerTemplates, open_templates, read_by_imports, server_of
from moorage.temp.template.process import ServerTemplate

pytest.importorskip("jupyter_server", reason="Jupyter Server is not installed")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone"),
]
ARGV = known_command("server").argv
ENV = {"PATH": os.environ["PATH"]}


def test_what_can_be_forked() -> None:
    assert server_of(ARGV) == "jupyter_server"
    assert server_of(["/other/python", *ARGV[1:]]) == ""
    assert server_of(ARGV[:3]) == ""
    assert server_of([]) == ""
    assert server_of(own_command(f"{sys.executable} -P -m http.server {{port}}").argv) == ""
    assert server_of([sys.executable, "-m", "jupyter_server"]) == ""


async def test_launches_alike_share_a_template_and_wait_for_it() -> None:
    async with open_templates() as templates:
        templates.prepare(ARGV, {**ENV, "HOME": "/nonexistent/state"})
        (prepared,) = templates.pids
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(templates.template_for(ARGV, {**ENV, "HOME": f"/home/{each}", "MINE": "1"}))
                for each in "ab"
            ]
        found = {each.result() for each in asked}
        assert templates.pids == [prepared]
        assert [each.pid for each in found if isinstance(each, ServerTemplate)] == [prepared]
        assert await templates.template_for(["/other/python"], ENV) == ""


async def test_what_imports_read_makes_another_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST", 2)
    async with open_templates() as templates:
        for language in ("C", "C.UTF-8", "POSIX"):
            templates.prepare(ARGV, {**ENV, "LANG": language})
        assert len(templates.pids) == 2, "the first one was let go"


async def test_who_finds_it_dead_is_spawned_and_the_next_one_waits_for_another() -> None:
    async with open_templates() as templates:
        first = await templates.template_for(ARGV, ENV)
        assert isinstance(first, ServerTemplate)
        os.kill(first.pid, signal.SIGKILL)
        while first.alive:
            await asyncio.sleep(0)  # the loop hears of its end
        assert await templates.template_for(ARGV, ENV) == "its template is made anew"
        second = await templates.template_for(ARGV, ENV)
        assert isinstance(second, ServerTemplate)
        assert second.pid != first.pid


async def test_one_that_failed_is_not_tried_again_at_once(tmp_path: Path) -> None:
    (tmp_path / "jupyter_server.py").write_text("raise SystemExit('no licence')")
    env = {**ENV, "PYTHONPATH": str(tmp_path)}
    why = "jupyter_server cannot be imported: SystemExit: no licence"
    async with open_templates() as templates:
        assert await templates.template_for(ARGV, env) == why
        assert await templates.template_for(ARGV, env) == why
        assert templates.pids == []


async def test_none_is_wanted() -> None:
    async with open_templates(wanted=False) as templates:
        templates.prepare(ARGV, ENV)
        assert await templates.template_for(ARGV, ENV) == ""
        assert templates.pids == []


async def test_a_template_gets_no_variable_of_one_launch() -> None:
    env = {**ENV, "JUPYTERHUB_API_TOKEN": "secret", "MINE": "1", "LANG": "C.UTF-8"}
    async with open_templates() as templates:
        templates.prepare(ARGV, env)
        (pid,) = templates.pids
        while not (told := Path(f"/proc/{pid}/environ").read_bytes()):
            await asyncio.sleep(0)  # it is about to execute
        assert b"MINE=1" in told
    common = ServerTemplates(common={"COMMON": "1"})
    try:
        common.prepare(ARGV, env)
        (pid,) = common.pids
        while not (told := Path(f"/proc/{pid}/environ").read_bytes()):
            await asyncio.sleep(0)  # it is about to execute
        words = told.split(b"\0")
        assert b"COMMON=1" in words
        assert b"LANG=C.UTF-8" in words
        assert not [each for each in words if b"secret" in each or b"MINE" in each]
    finally:
        await common.aclose()


def test_what_a_hub_tells_each_server_makes_no_other_template() -> None:
    hub = {"JUPYTERHUB_USER": "ann", "JUPYTERHUB_API_TOKEN": "secret", "JUPYTERHUB_SERVER_NAME": ""}
    assert read_by_imports({**ENV, **hub}) == read_by_imports(ENV)
    assert read_by_imports({**ENV, "JUPYTERHUB_SINGLEUSER_APP": "x"}) != read_by_imports(ENV)
