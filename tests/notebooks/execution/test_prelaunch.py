"""Kernels started before notebooks need them: for which, and how many."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.discovery.kernelspec import native
from moorage.notebooks.execution.prelaunch import launch_options, prelaunched
from moorage.notebooks.planning.settings import RenderSettings
from moorage.process.local import shared_warden

pytestmark = pytest.mark.anyio

SPEC = native()
SETTINGS = RenderSettings(kernel_arg=("--Session.username=me",), env={"ALL": "1"})


def test_a_kernel_gets_what_the_run_says_and_no_file_for_its_history() -> None:
    options = launch_options(SPEC, SETTINGS, directory=Path("/x"), env={"A": "1"}, fork=True, start_timeout=5)
    assert (options["env"], options["timeout"]) == ({"A": "1"}, 5)
    assert options["kernel_args"] == ("--HistoryManager.hist_file=:memory:", "--Session.username=me")
    spec = replace(SPEC, argv=("R",), language="r")
    other = launch_options(spec, SETTINGS, directory=Path(), env={}, fork=True, start_timeout=0)
    assert other["kernel_args"] == ("--Session.username=me",)


async def test_one_is_ready_while_notebooks_are_to_come_and_none_after_the_last(tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    directories = {"a": tmp_path, "b": tmp_path, "c": elsewhere}
    async with (
        shared_warden(),
        prelaunched(directories, SETTINGS, env={}) as prelaunch,
    ):
        assert prelaunch is not None
        options = launch_options(
            SPEC, SETTINGS, directory=tmp_path, env={"ALL": "1"}, fork=True, start_timeout=60
        )
        assert prelaunch._ready is None
        assert await prelaunch.launch("c", SPEC, options | {"cwd": elsewhere}) is None
        assert await prelaunch.launch("a", replace(SPEC, name="other"), options) is None
        async with await prelaunch.launch("a", SPEC, options) as kernel:
            result = await kernel.execute("import os; print(os.getcwd(), os.environ['ALL'])")
            assert result.outputs[0]["text"] == f"{tmp_path} 1\n"
        async with asyncio.timeout(60):
            while not prelaunch._ready.ready:
                await asyncio.sleep(0.01)
        prelaunch.settled("c")
        async with await prelaunch.launch("b", SPEC, options) as kernel:
            assert prelaunch._ready.ready == 0
            assert (await kernel.execute("1")).status == "ok"
        assert not prelaunch._ready._to_start.qsize()
        assert not prelaunch._ready._ready


async def test_none_is_started_while_every_notebook_is_settled_without_one(tmp_path) -> None:
    async with prelaunched(dict.fromkeys("abc", tmp_path), SETTINGS, env={}) as prelaunch:
        assert prelaunch is not None
        for name in "abc":
            prelaunch.settled(name)
            assert prelaunch._ready is None
