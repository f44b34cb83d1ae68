"""Waiting until a server answers: its socket appears, takes a connection, and a request gets a response."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from moorage.errors import ProtocolError
from moorage.plan.backoff import pause
from moorage.plan.targets import Target
from moorage.rendezvous.watch import DirectoryWatch
from moorage.wire.http import HEAD_END, MAX_HEAD, read_response

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
"""Seconds between attempts at a socket that takes no connection yet: no event tells when it does."""
_NOT_YET = frozenset({502, 503, 504})
"""What a server answers while something that it needs does not work yet."""


async def answering(target: Target, path: str) -> None:
    """Return once a server answers a request with something else than that it cannot.

    Args:
        target: where it listens, or will.
        path: that is asked for.

    Cancelling closes the connection.
    """
    if target.socket:
        await _appeared(Path(target.socket))
    failures = 0
    while not await _answers(target, path):
        failures += 1
        await asyncio.sleep(pause(FIRST_PAUSE, LONGEST_PAUSE, failures))


async def answers_within(target: Target, path: str, seconds: float) -> bool:
    """Tell whether a server answers one request in time; as :func:`answering` otherwise."""
    try:
        async with asyncio.timeout(seconds):
            return await _answers(target, path)
    except TimeoutError:
        return False


async def _appeared(socket: Path) -> None:
    async with DirectoryWatch(socket.parent) as watch:
        while not _exists(socket):
            await watch.changed()


def _exists(path: Path) -> bool:
    return path.exists()


async def _answers(target: Target, path: str) -> bool:
    try:
        if target.socket:
            if sys.platform == "win32":
                return False
            reader, writer = await asyncio.open_unix_connection(target.socket, limit=MAX_HEAD)
        else:
            reader, writer = await asyncio.open_connection(target.host, target.port, limit=MAX_HEAD)
    except OSError:
        return False
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(HEAD_END)
        return read_response(head, len(head) - len(HEAD_END)).status not in _NOT_YET
    except (OSError, EOFError, asyncio.LimitOverrunError, ProtocolError):
        return False
    finally:
        writer.transport.abort()
