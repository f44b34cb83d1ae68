"""One acceptor of ``moorage temp --acceptors``: a process that the service starts.

Its one argument is its settings in JSON; its standard input is the socket for orders.
"""
# ruff: noqa: E402 - it shares sockets with other processes, which Windows has no way for

from __future__ import annotations

import asyncio
import os
import socket
import sys

assert sys.platform != "win32", "acceptors need Unix sockets"

import msgspec

from moorage.cli.proxy import fast_loop
from moorage.cli.proxy_settings import keep_garbage_rare, log_to_stderr
from moorage.proxy.acceptor import run_acceptor
from moorage.temp.acceptor_settings import AcceptorSettings


def main(argument: str) -> None:
    """Take visitors until the service ends."""
    settings = msgspec.json.decode(argument, type=AcceptorSettings)
    log_to_stderr("error", f"acceptor {os.getpid()}: ")
    orders = socket.socket(fileno=os.dup(0))
    keep_garbage_rare()
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(run_acceptor(orders, settings.proxy(), shared=settings.shared()))


if __name__ == "__main__":
    main(sys.argv[1])
