"""How a service reaches what is behind walls: a server's socket, and the visitor's files.

Both lie where the visitor may write, and where a link may lead anywhere. So paths are walked folder by
folder, no link is followed, and a socket that was found once is held by a descriptor: whatever comes in its
place later, requests reach the server that made it.

Source: proc(5), /proc/PID/root; open(2), O_PATH.
"""
# ruff: noqa: E402 - nothing of it is there on Windows

from __future__ import annotations

import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

assert sys.platform == "linux", "walls need namespaces"

from moorage.errors import LaunchError
from moorage.rendezvous.watch import DirectoryWatch


def opened_inside(pid: int, path: Path) -> int:
    """Return a descriptor (O_PATH) of what another process sees as a path, none of whose parts is a link.

    Args:
        pid: of the process.
        path: absolute.

    Raises:
        OSError: it is not there, or a part of it is a link.
    """
    here = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in path.parts[1:]:
        above = here
        try:
            here = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            if stat.S_ISLNK(os.fstat(here).st_mode):
                os.close(here)
                raise NotADirectoryError(20, "it is a link", str(path))
        finally:
            os.close(above)
    return here


@asynccontextmanager
async def socket_inside(pid: int, path: Path) -> AsyncIterator[str]:
    """Wait until a socket appears behind walls, and yield where this process, and its children, reach it.

    Args:
        pid: of a process there.
        path: of the socket there.

    Raises:
        LaunchError: what appears is no socket, or the process has ended.
    """
    try:
        folder = opened_inside(pid, path.parent)
    except OSError as error:
        raise LaunchError("the server cannot be reached", why=error.strerror or str(error)) from error
    try:
        found = await _appeared(folder, path.name)
    finally:
        os.close(folder)
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise LaunchError("the server cannot be reached", why=f"{path.name} is no socket")
        yield f"unix:/proc/{os.getpid()}/fd/{found}"
    finally:
        os.close(found)


async def _appeared(folder: int, name: str) -> int:
    async with DirectoryWatch(Path(f"/proc/self/fd/{folder}")) as watch:
        while True:
            try:
                return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            except FileNotFoundError:
                await watch.changed()
