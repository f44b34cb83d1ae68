"""``moorage kernels ps`` and ``stop`` with real kernels: moorage's own and jupyter_client's."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from command import Command, until

pytestmark = pytest.mark.real

MOORED = """
import asyncio, sys, moorage

async def main():
    async with moorage.launch("python3", rendezvous=sys.argv[1], fork=False) as kernel:
        print(kernel.connection_file, kernel.process.pid, flush=True)
        try:
            if sys.argv[2]:
                await kernel.execute(sys.argv[2])
            else:
                await kernel.process.wait()
        except moorage.MoorageError:
            pass
        print((await kernel.process.wait()).describe(), flush=True)

asyncio.run(main())
"""
JUPYTERS = """
import sys
from jupyter_client.manager import KernelManager

manager = KernelManager(kernel_name="python3")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(60)
print(manager.connection_file, manager.provisioner.pid, flush=True)
sys.stdin.read()
manager.shutdown_kernel(now=True)
"""


@contextmanager
def running(moorage: Command, program: str, *arguments: str):
    """Run a program that launches a kernel; yields the kernel's file and pid, and the program."""
    process = moorage.launch([sys.executable, "-c", program, *arguments], stdin=-1)
    try:
        file, pid = process.stdout.readline().decode().split()
        yield Path(file), int(pid), process
    finally:
        process.stdin.close()
        process.stdin = None
        process.wait(60)


def listed(moorage: Command) -> dict[str, dict]:
    kernels = json.loads(moorage("kernels", "ps", "--json", code=0).stdout)["kernels"]
    return {each["connection_file"]: each for each in kernels}


@pytest.fixture
def typed(moorage: Command) -> Command:
    moorage.env["JUPYTER_RUNTIME_DIR"] = str(moorage.cwd / "runtime")
    return moorage


@pytest.mark.parametrize("way", ["ipc", "self-bind", "hold"])
def test_a_kernel_of_moorage_is_seen_and_stopped(typed, way):
    with running(typed, MOORED, way, "") as (file, pid, process):
        found = listed(typed)[str(file)]
        assert (found["pid"], found["type"], found["alive"]) == (pid, "python3", True)
        assert (found["status"], found["owner"]) == ("idle", "moorage")
        assert found["memory"] > 10 << 20
        name = file.parent.name
        assert found["id"] == name
        assert typed("kernels", "stop", name, code=0).stdout.startswith(f"stopped {name}: ")
        assert process.stdout.readline().decode().strip() == "exit code 0"


def test_one_that_computes_is_busy_and_stopped_all_the_same(typed):
    with running(typed, MOORED, "ipc", "while True: pass") as (file, pid, process):
        assert until(lambda: listed(typed)[str(file)]["status"] == "busy")
        done = typed("kernels", "stop", str(pid), "--grace", "0.5", code=0)
        assert done.stdout.startswith(f"stopped {file.parent.name}: ")
        assert process.stdout.readline()


def test_a_kernel_of_jupyter_is_seen_and_stopped(typed):
    with running(typed, JUPYTERS) as (file, pid, _):
        found = listed(typed)[str(file)]
        # Its file lies in /tmp under a random name: it is found on the command line.
        assert (found["pid"], found["owner"], found["status"]) == (pid, "other", "idle")
        typed("kernels", "stop", found["id"], code=0)
        assert until(lambda: not listed(typed).get(str(file), {"alive": False})["alive"])


def test_its_table_is_for_people(typed):
    with running(typed, MOORED, "ipc", "") as (file, pid, _):
        lines = typed("kernels", "ps", code=0).stdout.splitlines()
        assert lines[0].split() == ["ID", "PID", "TYPE", "STATUS", "AGE", "MEMORY", "CONNECTION", "FILE"]
        assert any(line.split()[:3] == [file.parent.name, str(pid), "python3"] for line in lines)
        typed("kernels", "stop", str(file), code=0)
