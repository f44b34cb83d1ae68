"""One virtual X display for a whole run, on a number the server itself picked.

``Xvfb -displayfd`` finds a free display, and writes its number once it accepts clients: nothing is guessed
and nobody sleeps.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from moorage.errors import LaunchError
from moorage.launch.base import LaunchSpec
from moorage.launch.launched import outlast
from moorage.launch.local import LocalHandle, LocalLauncher, Warden

_SECONDS = 30.0
_GRACE = 5.0


@asynccontextmanager
async def display(warden: Warden) -> AsyncIterator[str]:
    """Run Xvfb within the block.

    Args:
        warden: its parent.

    Yields:
        The value for ``DISPLAY``.

    Raises:
        LaunchError: Xvfb is not installed, or did not come up.
    """
    program = shutil.which("Xvfb")
    if program is None:
        raise LaunchError("--display needs Xvfb, which is not here", do="Type: apt-get install xvfb")
    ours, theirs = socket.socketpair()
    spec = LaunchSpec(
        argv=(program, "-displayfd", "0", "-screen", "0", "1920x1200x24", "-nolisten", "tcp"),
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
                yield f":{name}"


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
