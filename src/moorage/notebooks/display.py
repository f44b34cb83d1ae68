"""One virtual X display for a whole run, on a number the server itself picked.

``Xvfb -displayfd`` finds a free display, and writes its number once it accepts clients: nothing is guessed
and nothing sleeps. Without a cookie any user of the machine could connect, look at what is drawn and type.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from moorage.errors import LaunchError
from moorage.process.base import LocalSpec
from moorage.process.local import LocalHandle, LocalLauncher, Warden
from moorage.process.warden.launched import outlast

_SECONDS = 30.0
_GRACE = 5.0
_FLAGS = ("-displayfd", "0", "-screen", "0", "1920x1200x24", "-nolisten", "tcp")
_ANY = 0xFFFF  # FamilyWild of <X11/Xauth.h>: for every address
_KIND = b"MIT-MAGIC-COOKIE-1"


@asynccontextmanager
async def display(warden: Warden) -> AsyncIterator[dict[str, str]]:
    """Run Xvfb within the block.

    Args:
        warden: its parent.

    Yields:
        The variables by which its clients find it: ``DISPLAY`` and ``XAUTHORITY``.

    Raises:
        LaunchError: Xvfb is not installed, or did not come up.
    """
    program = shutil.which("Xvfb")
    if program is None:
        raise LaunchError("--display needs Xvfb, which is not here", do="Type: apt-get install xvfb")
    cookie = _cookie(warden.directory)
    ours, theirs = socket.socketpair()
    spec = LocalSpec(
        argv=(program, *_FLAGS, "-auth", str(cookie)),
        cwd=str(warden.directory),
        env=dict(os.environ),
        stdin=theirs.fileno(),
    )
    with ours, theirs:
        async with LocalLauncher(warden).launch(spec) as handle:
            theirs.close()
            ours.setblocking(False)
            number = b""
            try:
                async with asyncio.timeout(_SECONDS):
                    while not number.endswith(b"\n"):
                        received = await asyncio.get_running_loop().sock_recv(ours, 64)
                        if not received:
                            raise LaunchError("Xvfb did not come up", why=handle.output().strip())
                        number += received
            except TimeoutError:
                raise LaunchError("Xvfb did not come up", why=handle.output().strip()) from None
            name = number.decode().strip()
            async with _tidied(warden, handle, name):
                yield {"DISPLAY": f":{name}", "XAUTHORITY": str(cookie)}


def _cookie(folder: Path) -> Path:
    """Write a new cookie into a private folder, for the server and its clients. Source: Xau(3)."""
    path = folder / f"display-{secrets.token_hex(4)}"
    parts = (b"", b"", _KIND, secrets.token_bytes(16))  # of any address and any display
    entry = struct.pack(">H", _ANY) + b"".join(struct.pack(">H", len(part)) + part for part in parts)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(entry)
    return path


@asynccontextmanager
async def _tidied(warden: Warden, handle: LocalHandle, name: str) -> AsyncIterator[None]:
    """End the server kindly after the block: only then does it take its files away.

    Should moorage be killed within the block, the warden does both.
    """
    files = (Path(f"/tmp/.X11-unix/X{name}"), Path(f"/tmp/.X{name}-lock"))  # noqa: S108 - where X has them
    for path in files:
        warden.guard(path)
    try:
        yield
    finally:
        handle.send_signal(signal.SIGTERM)
        _, cancelled = await outlast(handle.wait, _GRACE)
        for path in files:
            warden.unguard(path)
        if cancelled is not None:
            raise cancelled
