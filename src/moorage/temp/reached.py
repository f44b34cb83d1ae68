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
from collections.abc import Iterator
from contextlib import contextmanager
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


class SocketInside:
    """A server's socket behind walls, by a descriptor whose number stays, whatever socket it leads to.

    Made by :func:`socket_inside`.

    Args:
        path: of the socket there.
        held: descriptor of nothing yet.
    """

    def __init__(self, path: Path, held: int) -> None:
        self._path, self._held = path, held

    @property
    def target(self) -> str:
        """Where this process, and its children, reach it, as a route has it."""
        return f"unix:/proc/{os.getpid()}/fd/{self._held}"

    async def find(self, pid: int) -> None:
        """Wait until it appears, and have the descriptor lead to it.

        Args:
            pid: of a process there.

        Raises:
            LaunchError: what appears is no socket, or the process has ended.
        """
        folder = self._folder(pid)
        try:
            found = await _appeared(folder, self._path.name)
        finally:
            os.close(folder)
        try:
            if not stat.S_ISSOCK(os.fstat(found).st_mode):
                raise LaunchError("the server cannot be reached", why=f"{self._path.name} is no socket")
            os.dup2(found, self._held, inheritable=False)
        finally:
            os.close(found)

    def remove(self, pid: int) -> None:
        """Remove it, where the server that made it has ended.

        Args:
            pid: of a process there.

        Raises:
            LaunchError: the process has ended, or something else is in its place.
        """
        folder = self._folder(pid)
        try:
            os.unlink(self._path.name, dir_fd=folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _unreached(error) from error
        finally:
            os.close(folder)

    def _folder(self, pid: int) -> int:
        try:
            return opened_inside(pid, self._path.parent)
        except OSError as error:
            raise _unreached(error) from error


def _unreached(error: OSError) -> LaunchError:
    return LaunchError("the server cannot be reached", why=error.strerror or str(error))


@contextmanager
def socket_inside(path: Path) -> Iterator[SocketInside]:
    """Yield what finds a server's socket behind walls.

    Args:
        path: of the socket there.

    Raises:
        LaunchError: there is no room for a descriptor.
    """
    try:
        held = os.open(os.devnull, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise _unreached(error) from error
    try:
        yield SocketInside(path, held)
    finally:
        os.close(held)


async def _appeared(folder: int, name: str) -> int:
    async with DirectoryWatch(Path(f"/proc/self/fd/{folder}")) as watch:
        while True:
            try:
                return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            except FileNotFoundError:
                await watch.changed()
