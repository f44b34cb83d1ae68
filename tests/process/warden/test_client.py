"""moorage's end of the warden: guards, sharing, leaving."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from moorage.errors import LaunchError, WardenLost
from moorage.process.kernel_directory import make_directory
from moorage.process.local import LocalLauncher, Warden
from moorage.process.warden import private_directory

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="wardens need Linux")]


async def test_the_private_directory_is_private_short_and_temporary():
    async with Warden.open() as warden:
        assert warden.directory.stat().st_mode & 0o777 == 0o700
        assert len(str(warden.directory)) <= 64 + 12
        (warden.directory / "1").mkdir()
        (warden.directory / "1" / "file").write_text("x")
        (warden.directory / "1").chmod(0)
    assert not warden.directory.exists()


async def test_xdg_runtime_dir_is_used_when_it_is_ours(monkeypatch, tmp_path_factory):
    base = tmp_path_factory.mktemp("r")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    async with Warden.open() as warden:
        assert warden.directory.parent == (base if len(str(base)) <= 64 else warden.directory.parent)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/no/such/directory")
    async with Warden.open() as warden:
        assert str(warden.directory.parent) == "/tmp"


async def test_where_no_directory_can_be_made_every_place_is_named(monkeypatch, tmp_path):
    script = tmp_path / "python"
    # A warden for which /tmp is not there.
    argv = f"import runpy, sys; sys.path.insert(0, {str(Path(private_directory.__file__).parents[1])!r})"
    argv += "; from warden import private_directory; private_directory.TMP = '/no/such/tmp'"
    argv += "; sys.argv = sys.argv[4:]"
    argv += "; runpy.run_path(sys.argv[0], run_name='__main__')"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c {shlex.quote(argv)} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/no/such/runtime")
    for name in ("TMPDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LaunchError, match=r"/no/such/runtime: No such .*; /no/such/tmp: No such"):
        async with Warden.open():
            pass


async def test_a_directory_that_has_gone_is_told(tmp_path):
    async with Warden.open() as warden:
        shutil.rmtree(warden.directory)
        with pytest.raises(LaunchError, match=f"no directory can be made in {warden.directory}"):
            make_directory(warden)


async def test_what_is_guarded_goes_and_what_is_not_stays(tmp_path):
    kept, file, link, folder = (tmp_path / name for name in ("kept", "file", "link", "folder"))
    async with Warden.open() as warden:
        for path in (kept, file, link, folder):
            warden.guard(path)
        kept.write_text("x")
        file.write_text("x")
        link.symlink_to(kept)
        (folder / "deep").mkdir(parents=True)
        warden.unguard(kept)
    assert sorted(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("lost", [False, True], ids=["ended", "killed"])
async def test_of_a_link_that_is_guarded_nothing_goes_that_took_its_place(tmp_path, lost):
    names = ("link", "file", "folder", "other")
    link, file, folder, other = (tmp_path / name for name in names)
    async with Warden.open() as warden:
        for path in (link, file, folder, other):
            warden.guard(path, "data")
        link.symlink_to("data")
        file.write_text("x")
        (folder / "deep").mkdir(parents=True)
        other.symlink_to("another")
        if lost:
            os.kill(warden.pid, signal.SIGKILL)
    assert sorted(tmp_path.iterdir()) == sorted((file, folder, other))
    assert (folder / "deep").exists()


async def test_thousands_of_guards_pass_through_a_small_socket(tmp_path):
    async with Warden.open() as warden:
        for n in range(5000):
            warden.guard(tmp_path / f"{n}-{'x' * 100}")
        last = tmp_path / f"4999-{'x' * 100}"
        last.write_text("x")
    assert not last.exists()


async def test_a_stopped_warden_is_killed_rather_than_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr("moorage.process.warden.endpoint.END", 0.2)
    async with Warden.open() as warden:
        os.kill(warden.pid, signal.SIGSTOP)
    assert not warden.directory.exists()


async def test_cancelling_while_a_warden_ends_still_waits_for_its_end(spec, alive):
    inside = asyncio.Event()
    seen = []

    async def run():
        async with Warden.open() as warden:
            seen.append(warden)
            inside.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        await inside.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert not alive(seen[0].pid)
    assert not seen[0].directory.exists()


async def test_cancelling_while_a_warden_starts_leaves_nothing(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        for turns in range(4):

            async def run():
                async with Warden.open():
                    await asyncio.Event().wait()

            async with asyncio.TaskGroup() as group:
                task = group.create_task(run())
                for _ in range(turns):
                    await asyncio.sleep(0.005)
                task.cancel()
        assert list(Path(base).iterdir()) == []


async def test_a_warden_that_cannot_start_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(WardenLost, match="cannot be started"):
        async with Warden.open():
            pass
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho my library is missing >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(WardenLost, match="my library is missing"):
        async with Warden.open():
            pass


async def test_a_forked_child_that_leaves_the_block_ends_nothing(spec):
    async with Warden.open() as warden, LocalLauncher(warden).launch(spec(["sleep", "3600"])) as handle:
        pid = os.fork()
        if pid == 0:
            try:
                await warden.link.close()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        handle.send_signal(signal.SIGTERM)
        assert (await handle.wait()).signal == signal.SIGTERM
        assert not warden.link.lost
