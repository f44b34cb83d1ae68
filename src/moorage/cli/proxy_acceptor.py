"""One acceptor of ``moorage proxy --acceptors``: a process that the proxy starts.

Its one argument is the options of the proxy in JSON; its standard input is the socket for orders.
"""
# ruff: noqa: E402 - it shares sockets with other processes, which Windows has no way for

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import signal
import socket
import sys

assert sys.platform != "win32", "acceptors need Unix sockets"

from moorage.cli.proxy import fast_loop
from moorage.cli.proxy_settings import keep_garbage_rare, log_to_stderr, settings_of, visitors_tls
from moorage.proxy.acceptor import run_acceptor

PR_SET_PDEATHSIG = 1


def main(argument: str) -> None:
    """Take visitors until the proxy ends."""
    options = argparse.Namespace(**json.loads(argument))
    level = "warn" if options.log_level == "info" else options.log_level  # the proxy tells of its routes
    log_to_stderr(level, f"acceptor {os.getpid()}: ")
    if sys.platform == "linux":  # one that is stopped does not see that its orders end
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    orders = socket.socket(fileno=os.dup(0))
    keep_garbage_rare()
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(run_acceptor(orders, settings_of(options), visitors_tls(options)))


if __name__ == "__main__":
    main(sys.argv[1])
