"""Waiting until a kernel listens: its sockets appear, its ports take connections, what leads to it greets."""

from __future__ import annotations

import asyncio
import socket
import stat
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from moorage.rendezvous.watch import DirectoryWatch
from moorage.wire.connection import Endpoint

# Seconds between two tries to connect to a kernel at the ports in its file, at first and at most.
_SOON, _LATER = 0.005, 0.1
# The signature every ZMTP peer begins with, https://rfc.zeromq.org/spec/23/
_ZMTP = b"\xff"


async def sockets(paths: Sequence[Path]) -> None:
    """Wait until there are sockets at all paths, which lie in one folder. Cancelling is safe."""
    async with DirectoryWatch(paths[0].parent) as watch:
        while not all(is_socket(path) for path in paths):
            await watch.changed()


def is_socket(path: Path) -> bool:
    """Tell whether a socket is there."""
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


async def tried(work: Callable[[Endpoint], Awaitable[bool]], endpoint: Endpoint) -> None:
    """Wait until something is so at an address, which no event announces: try, and try again less often."""
    pause = _SOON
    while not await work(endpoint):
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await asyncio.Event().wait()
        pause = min(pause * 1.5, _LATER)


async def accepts(endpoint: Endpoint) -> bool:
    """Tell whether connections are accepted."""
    with socket.socket() as probe:
        probe.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(probe, (endpoint.ip, endpoint.port))
        except OSError:
            return False
        return True


async def greets(endpoint: Endpoint) -> bool:
    """Tell whether ZeroMQ answers: what leads to a kernel accepts connections before the kernel does."""
    if sys.platform == "win32":  # it has no sockets with a path, and nothing is launched there
        return await accepts(endpoint)
    loop = asyncio.get_running_loop()
    sockets, tcp = endpoint.transport == "ipc", (endpoint.ip, endpoint.port)
    family = socket.AF_UNIX if sockets else socket.AF_INET6 if ":" in endpoint.ip else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setblocking(False)
        try:
            await loop.sock_connect(probe, endpoint.path if sockets else tcp)
            return await loop.sock_recv(probe, 1) == _ZMTP
        except OSError:
            return False
