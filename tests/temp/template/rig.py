"""A template process, and its end of the socket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DEADLINE = 120.0


class Raw:
    """What a service has of a template."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self.process, self.channel = process, channel

    def hear(self) -> dict[str, Any]:
        """Return the next thing that it tells; empty at its end."""
        packet = self.channel.recv(1 << 16)
        return json.loads(packet) if packet else {}


@contextmanager
def template(server: str = "jupyter_server", parent: int | None = None, **env: str) -> Iterator[Raw]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(DEADLINE)
    pid = str(os.getpid() if parent is None else parent)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "moorage.temp.template.main", pid, server],
            stdin=theirs.fileno(),
            cwd="/",
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent/somewhere", **env},
        )
    with ours, process:
        try:
            yield Raw(process, ours)
        finally:
            process.kill()
