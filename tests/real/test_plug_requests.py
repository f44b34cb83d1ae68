"""What the manager of a dead kernel has sent never reaches the next one, through the plug."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.drill, pytest.mark.anyio]

ROUNDS = 40
"""Of thirty, two or three kernels were ended by an old request when nothing waited for the socket's end."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@contextmanager
def starved():
    """Let libzmq's thread that closes sockets get no processor that anything else wants."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        tasks = [
            task for task in Path("/proc/self/task").iterdir() if "Reaper" in (task / "comm").read_text()
        ]
        assert tasks
        for task in tasks:
            os.sched_setscheduler(int(task.name), os.SCHED_IDLE, os.sched_param(0))
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


async def test_a_request_to_a_dead_kernel_ends_no_other(monkeypatch):
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "moorage")
    from jupyter_client.manager import AsyncKernelManager

    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel()
    try:
        await answered(manager)
        with starved():
            for _ in range(ROUNDS):
                process = manager.provisioner.process
                os.kill(process.pid, signal.SIGKILL)
                while process.poll() is None:
                    await asyncio.sleep(0.001)
                await manager.restart_kernel()
                await answered(manager)
    finally:
        await manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)


async def answered(manager):
    """Wait until a kernel has answered; one that was asked to end answers no more."""
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(120)
        await asyncio.sleep(0.15)
        assert await manager.is_alive()
    finally:
        client.stop_channels()
