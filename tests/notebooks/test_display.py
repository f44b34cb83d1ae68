"""The virtual display: on a number the server picked, gone with the block, however it ends."""

from __future__ import annotations

import shutil
import socket
import stat
import struct
from pathlib import Path

import anyio
import pytest

from moorage.errors import LaunchError
from moorage.notebooks.display import display
from moorage.process.local import Warden

pytestmark = pytest.mark.anyio
xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")


def traces(name: str) -> list[Path]:
    number = name.removeprefix(":")
    return [Path(f"/tmp/.X11-unix/X{number}"), Path(f"/tmp/.X{number}-lock")]


@xvfb
async def test_it_listens_and_leaves_nothing():
    async with Warden.open() as warden:
        async with display(warden) as one, display(warden) as two:
            name, other = one["DISPLAY"], two["DISPLAY"]
            assert name != other
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(traces(name)[0]))
        assert not any(path.exists() for path in (*traces(name), *traces(other)))


def greeted(variables: dict[str, str], cookie: bytes) -> bool:
    """Return whether the server takes a client with a cookie, or none."""
    kind = b"MIT-MAGIC-COOKIE-1" if cookie else b""
    hello = struct.pack("<cxHHHHxx", b"l", 11, 0, len(kind), len(cookie))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(traces(variables["DISPLAY"])[0]))
        client.sendall(hello + kind.ljust(-(-len(kind) // 4) * 4, b"\0") + cookie)
        try:
            return client.recv(1) == b"\1"
        except ConnectionResetError:  # it hung up with some of the greeting unread
            return False


@xvfb
async def test_no_other_user_is_let_in():
    async with Warden.open() as warden, display(warden) as found:
        path = Path(found["XAUTHORITY"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert greeted(found, path.read_bytes()[-16:])
        assert not greeted(found, b"")
        assert not greeted(found, b"x" * 16)


@xvfb
async def test_cancelled_it_leaves_nothing():
    names = []
    async with Warden.open() as warden:
        with anyio.CancelScope() as scope:
            async with display(warden) as found:
                names.append(found["DISPLAY"])
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
