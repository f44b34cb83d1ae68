"""An ipykernel that registers: ``python -m moorage.jupyter.ipykernel -f FILE``.

Given a registration file it binds ports of its own choice and registers them, in the file's dialect; given
anything else it is ipykernel as ever. ``moorage kernels install`` writes its kernelspec.
"""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from typing import Any

if __name__ == "__main__" and sys.path[0]:
    # As ipykernel_launcher does: the working directory comes back once everything is imported.
    del sys.path[0]

from ipykernel.kernelapp import IPKernelApp

from moorage import kernelside
from moorage.errors import MoorageError
from moorage.rendezvous.hold import hold_port, port_of
from moorage.wire.connection import PORTS


class RegisteringKernelApp(IPKernelApp):  # type: ignore[misc]  # ipykernel's classes are Any to mypy
    """ipykernel's application, which registers where the file it is given asks for that."""

    name = "ipython-kernel"
    hb_port: int
    _heartbeat_port: socket.socket | None = None

    def init_heartbeat(self) -> None:
        """Start the heartbeat at a port that is held for it: it lets go of one that it picks itself."""
        if self.hb_port <= 0 and self.transport == "tcp" and sys.platform == "linux":
            with suppress(OSError):  # an address that cannot be held: then as ipykernel does it
                self._heartbeat_port = hold_port("" if self.ip == "*" else self.ip)
                self.hb_port = port_of(self._heartbeat_port)
        super().init_heartbeat()

    def write_connection_file(self, **options: Any) -> None:
        """Register, where the file asks for it, and write the ports into it."""
        try:
            if kernelside.terms(self.abs_connection_file) is None:
                super().write_connection_file(**options)
                return
        except OSError:  # there is no file yet: ipykernel makes one
            super().write_connection_file(**options)
            return
        kernelside.register(self.abs_connection_file, {name: getattr(self, name) for name in PORTS})


def main() -> None:
    """Run the kernel; ends the process with a sentence where it cannot register."""
    try:
        RegisteringKernelApp.launch_instance()
    except MoorageError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
