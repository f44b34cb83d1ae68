"""Makes a listening socket in a network namespace of another process, for a program outside.

Run as ``python -I -S -E listener.py PID PORT`` with a Unix socket as standard input: it joins the user and
network namespace of ``PID``, listens on the port of the loopback there, and sends the socket. A socket stays
in the namespace that it was made in, whichever process has it: what connects inside is answered outside, and
no process runs inside for that. Standard library only. Source: network_namespaces(7), unix(7), SCM_RIGHTS.
"""
# ruff: noqa: PTH100, PTH120 - as the module that it needs

from __future__ import annotations

import os
import socket
import sys

assert sys.platform == "linux", "only Linux has network namespaces"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process.netns import relay
else:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from netns import relay

BACKLOG = 128
"""Connections that wait there until they are accepted outside."""


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of this namespace's loopback.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier one may linger
    listener.bind(("127.0.0.1", port))
    listener.listen(BACKLOG)
    return listener


def main(words: Sequence[str]) -> None:
    """Make one socket and send it."""
    relay.join(int(words[0]))
    with listen(int(words[1])) as listener, socket.socket(fileno=os.dup(0)) as asked:
        socket.send_fds(asked, [b"listening"], [listener.fileno()])


if __name__ == "__main__":
    main(sys.argv[1:])
