"""One acceptor of ``moorage proxy --acceptors``: a process that the proxy starts.

Its one argument is the options of the proxy in JSON; its standard input is the socket for orders.
"""
# ruff: noqa: E402 - it shares sockets with other processes, which Windows has no way for

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys

assert sys.platform != "win32", "acceptors need Unix sockets"

from moorage.cli.proxy import fast_loop
from moorage.cli.proxy_settings import keep_garbage_rare, log_to_stderr, settings_of, visitors_tls
from moorage.proxy.acceptor import run_acceptor


def main(argument: str) -> None:
    """Take visitors until the proxy ends."""
    options = argparse.Namespace(**json.loads(argument))
    level = "warn" if options.log_level == "info" else options.log_level  # the proxy tells of its routes
    log_to_stderr(level, f"acceptor {os.getpid()}: ")
    orders = socket.socket(fileno=os.dup(0))
    keep_garbage_rare()
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(run_acceptor(orders, settings_of(options), visitors_tls(options)))


if __name__ == "__main__":
    main(sys.argv[1])
