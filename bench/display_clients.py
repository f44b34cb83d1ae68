"""One client takes one flood of display messages; see output_flood.py.

    python display_clients.py moorage|jupyter_client own|kernel|recording COUNT CODE

Prints how many displays arrived and the seconds from the request to the last of them (its idle). ``own`` is
a kernel as each launches it: moorage forks it, as for every run of several notebooks; jupyter_client starts
one. ``kernel`` is the same spawned ipykernel for both, ``recording`` a process that answers the request with
COUNT prepared messages.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WHO, WHAT, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}


def far_end(folder: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start the kernel or the recording; return it and its connection file."""
    file = Path(folder) / "kernel.json"
    ways = {"transport": "ipc", "ip": f"{folder}/k", "key": "key", "signature_scheme": "hmac-sha256"}
    file.write_text(json.dumps({**ways, **PORTS}))
    if WHAT == "kernel":
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", str(file)]
    else:
        command = [sys.executable, str(Path(__file__).with_name("recording.py")), str(file), str(COUNT)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), str(file)


async def with_moorage(file: str, code: str) -> tuple[int, float]:
    from moorage.kernel.zmq_client import zmq_client
    from moorage.rendezvous.files import read_connection_file

    info = read_connection_file(Path(file))
    async with zmq_client(info).client as client:
        await client.ready()
        result = await client.execute(code)
    return len(result.outputs), result.seconds


def with_jupyter_client(file: str, code: str) -> tuple[int, float]:
    from jupyter_client import BlockingKernelClient

    client = BlockingKernelClient(connection_file=file)
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    outputs = []

    def take(message: dict[str, object]) -> None:
        if message["header"]["msg_type"] == "display_data":
            outputs.append({"output_type": "display_data", **message["content"]})

    began = time.monotonic()
    client.execute_interactive(code, output_hook=take, allow_stdin=False, timeout=120)
    seconds = time.monotonic() - began
    client.stop_channels()
    return len(outputs), seconds


async def launched_by_moorage(code: str) -> tuple[int, float]:
    import moorage

    async with moorage.launch("python3", fork=True) as kernel:
        result = await kernel.execute(code)
    return len(result.outputs), result.seconds


def launched_by_jupyter_client(code: str) -> tuple[int, float]:
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return with_jupyter_client(manager.connection_file, code)
    finally:
        manager.shutdown_kernel(now=True)


if WHAT == "own":
    if WHO == "moorage":
        count, seconds = asyncio.run(launched_by_moorage(sys.argv[4]))
    else:
        count, seconds = launched_by_jupyter_client(sys.argv[4])
    print(json.dumps({"displays": count, "seconds": seconds}))
    sys.exit()

with tempfile.TemporaryDirectory() as folder:
    process, connection = far_end(folder)
    try:
        if WHO == "moorage":
            count, seconds = asyncio.run(with_moorage(connection, sys.argv[4]))
        else:
            count, seconds = with_jupyter_client(connection, sys.argv[4])
    finally:
        process.terminate()
        far = os.wait4(process.pid, 0)[2]
own = resource.getrusage(resource.RUSAGE_SELF)
told = {
    "displays": count,
    "seconds": seconds,
    "cpu": own.ru_utime + own.ru_stime,
    "far cpu": far.ru_utime + far.ru_stime,
}
print(json.dumps(told))
