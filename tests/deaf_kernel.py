"""A process that greets like a kernel, and answers nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager

# Greets like libzmq and answers nothing, as a kernel that hangs in C code that holds everything up.
DEAF = """
import signal, socket, sys
signal.signal(signal.SIGTERM, getattr(signal, sys.argv[1]))
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    peer, _ = listening.accept()
    peer.send(b"\\xff" + bytes(8) + b"\\x7f")
"""


@contextmanager
def deaf(path, on_term):
    command = [sys.executable, "-c", DEAF, on_term, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        write(path, int(process.stdout.readline()))
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def write(path, port, key="x"):
    content = dict.fromkeys(("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"), port)
    path.write_text(json.dumps(content | {"key": key}))


def port_in(path):
    return json.loads(path.read_bytes())["hb_port"]
