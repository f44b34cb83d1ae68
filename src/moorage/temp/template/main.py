"""The template of servers: a process that has imported a server, and forks keepers whose charge is one.

Run as ``python -P -m moorage.temp.template.main PARENT SERVER``, SERVER being the server's module. Its stdin
is a SOCK_SEQPACKET socket; its end is the template's end. It tells ``{"ready": true}`` or ``{"refused":
WHY}`` first. Each packet is a keeper to be: its directory, with the descriptors of its lock and its first
link. What becomes of it, the link tells; ``{"short": ERRNO}`` says that there was no room for it, ``{"stale":
true}`` that what is installed has changed: then this template is over, and the launch waits for another one.

docs/design/0020-server-template.md says why it is done so.
"""

# ruff: noqa: E402 - what it imports is Linux's

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

assert sys.platform == "linux", "templates need /proc"

from moorage.keeper.process import record
from moorage.keeper.process.main import main as keep
from moorage.process.template import after_fork, startup_code
from moorage.temp.template.become import ForkedServer
from moorage.temp.template.preloaded import ImportRefused, preload, switches

PR_SET_PDEATHSIG = 1
PACKET = 4096
"""Bytes of a request: a path that is a socket's address is shorter."""


def main(parent: int, server: str) -> None:
    """Fork keepers until the socket's end.

    Args:
        parent: process id of moorage, with which this process ends.
        server: module of the server.
    """
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    image = after_fork.Image()
    image.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)
    before = after_fork.Before(startup_code.initial())
    gc.disable()
    if why := prepare(server, channel.fileno()):
        channel.send(json.dumps({"refused": why}).encode()[: 16 * PACKET])
        sys.exit(1)
    before.imported()
    become = ForkedServer(image, before, startup_code.of_libraries())
    gc.freeze()  # without a collection first: what it freed would be holes, which forks fill and so copy
    places = startup_code.stamped(switches())
    fresh = startup_code.stamps(places)
    channel.send(json.dumps({"ready": True}).encode())
    while True:
        packet, fds, _, _ = socket.recv_fds(channel, PACKET, 2)
        if not packet:
            os._exit(0)
        if startup_code.stamps(places) != fresh:
            channel.send(json.dumps({"stale": True}).encode())
            os._exit(0)
        try:
            fork(channel, os.fsdecode(packet), fds, become)
        except OSError as error:
            channel.send(json.dumps({"short": error.errno}).encode())
        for fd in fds:  # the lock before the link: the end of that one tells that nothing is left
            os.close(fd)


def prepare(server: str, own: int) -> str:
    """Import what a server imports; return why no server can be forked then, or an empty string.

    Args:
        server: its module.
        own: the one descriptor beyond 0, 1 and 2 that is known.
    """
    try:
        preload(server)
    except ImportRefused as error:
        return str(error)
    sys.stdout.flush()
    sys.stderr.flush()
    return startup_code.left(own, "what the server imports")


def fork(channel: socket.socket, directory: str, fds: list[int], server: ForkedServer) -> None:
    """Fork a keeper, which leaves this process.

    Args:
        channel: this process's own.
        directory: of the keeper.
        fds: its lock, and its first link.
        server: what it keeps.

    Raises:
        OSError: there is no room for another process.
    """
    if pid := os.fork():
        os.waitpid(pid, 0)
        return
    try:
        begin_keeper(channel, directory, fds, server)
    except BaseException:  # noqa: BLE001 - boundary: what goes wrong in a fork must not go on as the template
        traceback.print_exc()
    os._exit(127)


def begin_keeper(channel: socket.socket, directory: str, fds: list[int], server: ForkedServer) -> NoReturn:
    """Become a keeper."""
    lock, link = fds
    errors = os.open(Path(directory) / record.ERRORS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(errors, 2)
    os.close(errors)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)
    channel.close()
    os.setsid()
    server.image.overwrite(server.keeper_words(directory), {})
    after_fork.replace({})
    gc.enable()
    keep(link, lock, directory, server.execute, server)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
