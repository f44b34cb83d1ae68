"""A pool of real kernels: given once, moved, replaced, ended."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import moorage
from moorage.discovery.kernelspec import names, native
from moorage.errors import LaunchError, MoorageError, StartDeath, UsageError, WardenLost
from moorage.kernel.options import LoopOptions
from moorage.kernel.pool import Pool
from moorage.plan import pool as plan
from moorage.plan.pool import Spare
from moorage.process.local import shared_warden

pytestmark = pytest.mark.anyio


async def filled(pool: Pool, count: int) -> None:
    async with asyncio.timeout(60):
        while pool.ready < count:
            await asyncio.sleep(0.01)


async def said(kernel, code: str) -> str:
    result = await kernel.execute(code)
    assert result.error is None, result.error
    return "".join(output.get("text", "") for output in result.outputs)


def test_its_options_are_those_of_launching() -> None:
    launching = set(inspect.signature(moorage.launch).parameters) - {"kernel_type"}
    assert set(LoopOptions.__annotations__) == launching
    assert all(name in moorage.pool.__doc__ for name in launching)


async def test_an_option_that_does_not_exist_is_refused_with_near_names() -> None:
    with pytest.raises(UsageError, match=r"moorage.pool has no option siez .*Did you mean size"):
        await moorage.pool("python3", siez=2).__aenter__()


async def test_a_kernel_is_given_once_and_another_takes_its_place() -> None:
    async with moorage.pool("python3", size=1) as pool:
        await filled(pool, 1)
        async with pool.launch() as one, pool.launch() as other:
            assert one.process.pid != other.process.pid
            first = await one.execute("1 + 1")
            assert first.outputs[0]["data"]["text/plain"] == "2"
            assert first.execution_count == 1
            await filled(pool, 1)
        assert one.process.exit_status is not None


async def test_one_that_runs_nothing_is_replaced_all_the_same() -> None:
    async with moorage.pool("python3", size=1) as pool:
        await filled(pool, 1)
        async with pool.launch():
            await filled(pool, 1)


async def test_another_is_started_once_the_first_cell_is_answered(monkeypatch) -> None:
    monkeypatch.setattr(plan, "PUT_OFF", 3600)
    async with moorage.pool("python3", size=1) as pool:
        await filled(pool, 1)
        started: list[Spare] = []
        keep = pool._keep
        monkeypatch.setattr(pool, "_keep", lambda spare: started.append(spare) or keep(spare))
        async with pool.launch() as kernel:
            assert not started
            await kernel.execute("1 + 1")
            await filled(pool, 1)
            assert len(started) == 1


async def test_a_kernel_is_put_where_it_is_wanted_and_stays_there_when_restarted(tmp_path) -> None:
    probe = "import os, time; print(os.getcwd(), os.environ['WHAT'], time.strftime('%Z'), *map(repr, _dh))"
    async with moorage.pool("python3", size=1, env={"WHAT": "pool", "GOES": "1"}) as pool:
        async with pool.launch(cwd=tmp_path, env={"WHAT": "this", "TZ": "XYZ-3", "GOES": None}) as kernel:
            for _ in range(2):
                assert await said(kernel, "import os; print('GOES' in os.environ)") == "False\n"
                await kernel.restart()
            there = Path(os.path.realpath(tmp_path))
            moved = await said(kernel, probe)
            assert moved == f"{there} this XYZ {there!r}\n"
            assert await said(kernel, "print([name for name in dir() if not name.startswith('_')])") == (
                "['In', 'Out', 'exit', 'get_ipython', 'open', 'os', 'quit', 'time']\n"
            )
            await kernel.restart()
            assert await said(kernel, probe) == moved
        async with pool.launch() as kernel:
            assert await said(kernel, "import os; print(os.environ['WHAT'])") == "pool\n"


async def test_another_environment_from_the_first_moment_on_is_launched_afresh() -> None:
    async with moorage.pool("python3", size=1, env={"WHAT": "pool"}) as pool:
        await filled(pool, 1)
        async with pool.launch(env={"PYTHONUTF8": "1", "LC_ALL": "C"}) as kernel:
            assert pool.ready == 1
            probe = "import os, sys; print(sys.flags.utf8_mode, os.environ['WHAT'])"
            assert await said(kernel, probe) == "1 pool\n"


async def test_what_a_kernel_has_read_as_it_started_is_that_of_its_launch(tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, sys; sys.mine = os.environ.get('MINE')")
    (tmp_path / "ipython").mkdir()
    async with moorage.pool("python3", size=1, env={"PYTHONPATH": str(tmp_path)}) as pool:
        await filled(pool, 1)
        async with pool.launch(env={"IPYTHONDIR": str(tmp_path / "ipython")}) as kernel:
            assert await said(kernel, "print(get_ipython().ipython_dir)") == f"{tmp_path / 'ipython'}\n"
        for _ in range(2):
            async with pool.launch(env={"MINE": "this"}) as kernel:
                assert await said(kernel, "import sys; print(sys.mine)") == "this\n"


async def test_a_directory_that_is_not_there_is_told() -> None:
    async with moorage.pool("python3", size=1) as pool:
        with pytest.raises(LaunchError, match="/nowhere"):
            async with pool.launch(cwd="/nowhere"):
                pass


async def test_one_that_dies_while_it_is_ready_is_replaced() -> None:
    async with moorage.pool("python3", size=1) as pool:
        await filled(pool, 1)
        (place,) = pool._ready.values()
        place.kernel.process.send_signal(9)
        async with asyncio.timeout(60):
            while pool.ready:
                await asyncio.sleep(0.01)
        async with pool.launch() as kernel:
            assert await said(kernel, "print(1)") == "1\n"


async def test_whoever_waits_hears_why_no_kernel_starts() -> None:
    spec = native()
    assert spec is not None
    broken = replace(spec, argv=(spec.argv[0], "-c", "raise SystemExit('no way')"))
    async with moorage.pool(broken, size=1) as pool:
        with pytest.raises(StartDeath, match="no way"):
            async with pool.launch():
                pass


async def test_whoever_waits_hears_of_what_nobody_foresaw(monkeypatch) -> None:
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    async with moorage.pool("python3", size=0) as pool:
        monkeypatch.setattr("tempfile.mkdtemp", full)
        for _ in range(2):
            with pytest.raises(LaunchError, match="No space left"):
                async with pool.launch():
                    pass
        monkeypatch.undo()
        async with pool.launch() as kernel:
            assert await said(kernel, "print(1)") == "1\n"
    with pytest.raises(MoorageError, match="closed"):
        async with pool.launch():
            pass


@pytest.mark.real
async def test_nothing_is_run_ahead_in_a_shell(tmp_path) -> None:
    if "bash" not in names():
        pytest.skip("there is no bash_kernel here")
    program = tmp_path / "pass"
    program.write_text("#!/bin/sh\ntouch ran")
    program.chmod(0o755)
    env = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    async with moorage.pool("bash", size=1, env=env, cwd=tmp_path) as pool, pool.launch() as kernel:
        assert (await kernel.execute("echo hello")).status == "ok"
    assert not (tmp_path / "ran").exists()


async def test_what_goes_wrong_at_its_end_reaches_who_had_it() -> None:
    async with shared_warden() as warden, moorage.pool("python3", size=0, warden=warden) as pool:
        with pytest.raises(WardenLost):
            async with pool.launch():
                os.kill(warden.pid, signal.SIGKILL)


async def test_cancelled_while_it_waits_leaves_the_kernel_to_the_next() -> None:
    async with moorage.pool("python3", size=0) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), pool.launch():
                pass
        await filled(pool, 1)
        async with pool.launch() as kernel:
            assert await said(kernel, "print(1)") == "1\n"


async def test_nothing_of_it_is_left() -> None:
    async with moorage.pool("python3", size=2) as pool:
        await filled(pool, 2)
        processes = [place.kernel.process for place in pool._ready.values()]
    assert all(process.exit_status is not None for process in processes)
