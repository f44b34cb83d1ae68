"""Where links come in: the Unix socket in a keeper's directory.

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Mapping

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import links
else:
    from keeper.process import links

assert sys.platform != "win32", "keepers need Unix sockets and fork"

MOST_LINKS = 200
"""Links at once; the default limit on open files carries as many."""
PAUSE = 1.0
"""Seconds in which no link is admitted after one could not even be refused, for want of a descriptor."""
_POLLIN = 1
_AT_ONCE = 16


class Door:
    """The listening socket, and one descriptor in reserve to refuse by when there are no more.

    Attributes:
        fd: its descriptor; -1 once it is closed.

    Args:
        path: of the socket; it is made.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(path)
        self._socket.listen(64)
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._pause_until: float | None = None

    def watch(self, poll: select.poll) -> float | None:
        """Register for newcomers; return when to look again where none are admitted now."""
        if self._pause_until is not None and time.monotonic() < self._pause_until:
            return self._pause_until
        self._pause_until = None
        poll.register(self.fd, _POLLIN)
        return None

    def admit(self, hello: Mapping[str, object], links_now: int) -> list[links.LinkEnd]:
        """Accept those that have come; what cannot be served is told why, and closed.

        Args:
            hello: the first message of each.
            links_now: how many links there are.
        """
        admitted: list[links.LinkEnd] = []
        while len(admitted) < _AT_ONCE:
            try:
                found = self._accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._refuse_one("the keeper has no descriptor left")
                break
            if links_now + len(admitted) >= MOST_LINKS:
                found.queue.close(f"the keeper has {MOST_LINKS} links already")
            else:
                found.queue.put(hello)
            found.flush()
            if found.over:
                found.close()
            else:
                admitted.append(found)
        return admitted

    def close(self) -> None:
        """Admit no more."""
        if self.fd >= 0:
            self._socket.close()
            self.fd = -1

    def _accept(self) -> links.LinkEnd:
        while True:
            accepted, _ = self._socket.accept()
            if _is_own(accepted):
                accepted.setblocking(False)
                fd = accepted.detach()
                return links.LinkEnd(fd, fd)
            accepted.close()

    def _refuse_one(self, why: str) -> None:
        """Tell one newcomer why there is no room for it, with the descriptor in reserve."""
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
        try:
            found = self._accept()
            found.queue.close(why)
            found.flush()
            found.close()
        except OSError as error:
            # EAGAIN: accept(2) wants a descriptor before it looks whether anything has come.
            if error.errno != errno.EAGAIN:
                self._pause_until = time.monotonic() + PAUSE
        try:
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._pause_until = time.monotonic() + PAUSE


def _is_own(accepted: socket.socket) -> bool:
    """Tell whether the other end is this user or root, as far as the system says."""
    if sys.platform != "linux":
        return True  # the directory is closed to others
    credentials = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder) in (0, os.geteuid())
