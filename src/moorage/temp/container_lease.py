"""Removes the containers of a service that was killed and not started again in time.

    python -m moorage.temp.container_lease ENGINE STATE SECONDS GENERATION

A process beside the service, which tells it by a pipe that all has been removed. The end of the pipe without
that word means that the service was killed. Standard library only: it takes memory for as long as the service
runs.
"""
# ruff: noqa: E402 - file locks are not there on Windows

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

assert sys.platform != "win32", "servers listen on Unix sockets"

import fcntl

ALL_REMOVED = b"."
"""What a service says that has ended by itself."""
FILE = "lease"
"""Name of the file in the state directory that tells the newest of these processes, and its engine."""
PATIENCE = 120.0
TURN = 1.0
"""Seconds between looks at whether a later service has come."""
_LABEL = "moorage.temp.state"


def main(engine: str, state: str, seconds: str, generation: str) -> None:
    """Wait for the end of the service, then for the end of the lease, and remove what is left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.read(0, 1) == ALL_REMOVED:
        return
    until = time.monotonic() + float(seconds)
    while (left := until - time.monotonic()) > 0 and newest(state) == generation:
        threading.Event().wait(min(left, TURN))
    if not Path(state).exists():  # nothing can find them any more
        remove_all(engine, state)
    if newest(state) != generation:
        return
    lock = os.open(f"{state}/lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # a service has them now
    if newest(state) == generation:  # else a later service was killed, too, and its lease counts
        remove_all(engine, state)
        for each in Path(state, "servers").iterdir():
            shutil.rmtree(each, ignore_errors=True)


def newest(state: str) -> str:
    """Return the generation of the newest of these processes of a state directory; empty for none."""
    try:
        return Path(state, FILE).read_text().partition("\n")[0]
    except OSError:
        return ""


def remove_all(engine: str, state: str) -> None:
    """End and remove all containers of a state directory.

    Raises:
        OSError: the engine does not answer.
    """
    filters = quote(json.dumps({"label": [f"{_LABEL}={state}"]}))
    for each in json.loads(_ask(engine, "GET", f"/containers/json?all=1&filters={filters}")):
        _ask(engine, "DELETE", f"/containers/{each['Id']}?force=1&v=1")


def _ask(engine: str, method: str, path: str) -> bytes:
    connection = http.client.HTTPConnection("docker", timeout=PATIENCE)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.settimeout(PATIENCE)
    try:
        connection.sock.connect(engine)
        connection.request(method, path)
        return connection.getresponse().read()
    finally:
        connection.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
