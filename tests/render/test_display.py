"""The virtual display: on a number the server picked, gone with the block, however it ends."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import anyio
import pytest

from moorage.errors import LaunchError
from moorage.launch.local import Warden
from moorage.render.display import display

pytestmark = pytest.mark.anyio
xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")


def traces(name: str) -> list[Path]:
    number = name.removeprefix(":")
    return [Path(f"/tmp/.X11-unix/X{number}"), Path(f"/tmp/.X{number}-lock")]


@xvfb
async def test_it_listens_and_leaves_nothing():
    async with Warden.open() as warden:
        async with display(warden) as name, display(warden) as other:
            assert name != other
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(traces(name)[0]))
        assert not any(path.exists() for path in (*traces(name), *traces(other)))


@xvfb
async def test_cancelled_it_leaves_nothing():
    names = []
    async with Warden.open() as warden:
        with anyio.CancelScope() as scope:
            async with display(warden) as name:
                names.append(name)
                scope.cancel()
                await anyio.sleep_forever()
    assert not any(path.exists() for path in traces(names[0]))


async def test_without_xvfb_it_says_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    async with Warden.open() as warden:
        with pytest.raises(LaunchError, match="apt-get install xvfb"):
            async with display(warden):
                pass


async def test_a_server_that_ends_at_once_is_told_with_its_words(monkeypatch, tmp_path):
    program = tmp_path / "Xvfb"
    program.write_text("#!/bin/sh\necho no screen today >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    async with Warden.open() as warden:
        with pytest.raises(LaunchError, match="did not come up"):
            async with display(warden):
                pass
