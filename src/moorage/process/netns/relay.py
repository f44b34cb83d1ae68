"""Lets clients outside reach a kernel that listens on TCP ports of a network namespace of its own.

Run as ``python -I -S -E relay.py PID SOCKET=PORT...``: it joins the user and network namespace of ``PID``,
listens on each Unix socket, and connects each client there to the port on the loopback inside. ZeroMQ
speaks the same over both, so nothing but bytes is copied. While nothing listens inside, a caller is hung up
on, and its ZeroMQ tries again.

A relay rather than sockets handed out: libzmq takes over listening sockets that others made, but no connected
ones. Source: ZMTP 3.1 (RFC 37), setns(2).
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import threading

assert sys.platform == "linux", "only Linux has network namespaces"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 1 << 16
"""Bytes that are under way in one direction of one connection, beside what the sockets themselves hold."""

_setns = ctypes.CDLL(None, use_errno=True).setns


def join(pid: int) -> None:
    """Move this process, which must have one thread only, into the user and network namespaces of another.

    Raises:
        OSError: it has ended, belongs to another user, or has no network namespace of its own.
    """
    for kind in ("user", "net"):  # the right to enter the second comes with the first
        path = f"/proc/{pid}/ns/{kind}"
        if os.readlink(path) == os.readlink(f"/proc/self/ns/{kind}"):  # noqa: PTH115 - without pathlib, see above
            if kind == "net":
                raise OSError(0, f"{pid} has no network namespace of its own")
            continue
        theirs = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _setns(theirs, 0) != 0:
                raise OSError(ctypes.get_errno(), f"the {kind} namespace of {pid} cannot be entered")
        finally:
            os.close(theirs)


def listen(path: str) -> socket.socket:
    """Listen on a Unix socket; one that a former relay left there is replaced."""
    try:  # noqa: SIM105 - contextlib would be one more module to load
        os.unlink(path)  # noqa: PTH108 - so would pathlib
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    return listener


def serve(listener: socket.socket, port: int) -> None:
    """Connect every caller to the port, for ever."""
    while True:
        caller, _ = listener.accept()
        kernel = socket.socket()
        try:
            kernel.connect(("127.0.0.1", port))
        except OSError:  # not yet, or no more
            kernel.close()
            caller.close()
            continue
        kernel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        both = _Pair(caller, kernel)
        for source, target in ((caller, kernel), (kernel, caller)):
            threading.Thread(target=both.copy, args=(source, target), daemon=True).start()


class _Pair:
    """Two connected sockets, closed when both directions have ended."""

    def __init__(self, *sockets: socket.socket) -> None:
        self._sockets = sockets
        self._running = len(sockets)
        self._lock = threading.Lock()

    def copy(self, source: socket.socket, target: socket.socket) -> None:
        """Copy one direction until it ends, then let the other end know: what is still to come comes."""
        buffer = memoryview(bytearray(MOST))
        try:
            while count := source.recv_into(buffer):
                target.sendall(buffer[:count])
        except OSError:  # one of the two is gone
            pass
        try:  # noqa: SIM105 - contextlib would be one more module to load
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        with self._lock:
            self._running -= 1
            over = self._running == 0
        if over:
            for each in self._sockets:
                each.close()


def main(words: Sequence[str]) -> None:
    """Serve until killed."""
    os.umask(0o077)
    join(int(words[0]))
    pairs = [word.rpartition("=") for word in words[1:]]
    listeners = [(listen(path), int(port)) for path, _, port in pairs]
    for listener, port in listeners[1:]:
        threading.Thread(target=serve, args=(listener, port), daemon=True).start()
    serve(*listeners[0])


if __name__ == "__main__":
    main(sys.argv[1:])
