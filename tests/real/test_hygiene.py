"""Many launches in one process leave nothing: no descriptor, no process, no file, and no memory."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import pytest

from command import until
from moorage.kernel.launch import launch
from moorage.process import procfs
from moorage.process.local import shared_warden

pytestmark = [pytest.mark.real, pytest.mark.anyio]

MEMORY = ("--HistoryManager.hist_file=:memory:",)


def descriptors() -> dict[str, str]:
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        try:
            found[path.name] = str(path.readlink())
        except OSError:  # the listing's own
            continue
    return found


KINDS = ("Kernel", "Client", "Supervisor", "ZmqTransport", "IpcRendezvous", "LocalHandle", "Activity")


def kept() -> dict[str, int]:
    """How many of moorage's own objects of each kind are alive: other tests may have left some."""
    gc.collect()
    kinds = [type(each) for each in gc.get_objects()]
    own = [each.__name__ for each in kinds if str(each.__module__).startswith("moorage.")]
    return {kind: own.count(kind) for kind in KINDS}


async def one(number: int, **options: object) -> None:
    async with launch("python3", kernel_args=MEMORY, **options) as kernel:
        result = await kernel.execute(f"print({number})")
        assert result.outputs[0]["text"] == f"{number}\n"


@pytest.mark.parametrize("fork", [False, True], ids=["spawned", "forked"])
async def test_launches_leave_nothing(fork: bool):
    async with asyncio.timeout(120), shared_warden() as warden:
        for number in range(2):  # what is made once and stays: zmq's threads, the template
            await one(number, fork=fork)
        before, alive = descriptors(), kept()
        family = procfs.roots(procfs.table(), os.getpid())
        files = sorted(warden.directory.rglob("*"))
        for start in range(0, 30 if fork else 12, 6):
            async with asyncio.TaskGroup() as group:
                for number in range(start, start + 6):
                    group.create_task(one(number, fork=fork))
        assert sorted(warden.directory.rglob("*")) == files
        # The template may have been replaced meanwhile, as it is when packages change.
        assert len(procfs.roots(procfs.table(), os.getpid())) <= len(family)
        # A thread of libzmq's closes sockets, in its own time.
        if not until(lambda: len(descriptors()) <= len(before)):
            pytest.fail(f"left: {[name for fd, name in descriptors().items() if fd not in before]}")
        assert kept() == alive


@pytest.mark.parametrize("way", ["self-bind", "hold"])
async def test_launches_by_ports_leave_none_bound(way: str):
    async with asyncio.timeout(120), shared_warden():
        await one(0, rendezvous=way, fork=False)
        before = descriptors()
        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(one(number, rendezvous=way, fork=False))
        assert until(lambda: len(descriptors()) <= len(before))


async def test_launches_that_fail_leave_nothing():
    from moorage.discovery.kernelspec import KernelSpec
    from moorage.errors import MoorageError

    specs = [
        KernelSpec("dies", ("false", "{connection_file}"), "", "none"),
        KernelSpec("absent", ("no-such-program", "{connection_file}"), "", "none"),
        KernelSpec("silent", ("sleep", "1000"), "", "none"),
    ]
    async with asyncio.timeout(120), shared_warden() as warden:
        await one(0)
        before, alive, files = descriptors(), kept(), sorted(warden.directory.rglob("*"))
        family = procfs.roots(procfs.table(), os.getpid())
        for spec in specs * 4:
            with pytest.raises(MoorageError):
                async with launch(spec, timeout=0.5):
                    pass
        assert sorted(warden.directory.rglob("*")) == files
        # The template may have been replaced meanwhile, as it is when packages change.
        assert len(procfs.roots(procfs.table(), os.getpid())) <= len(family)
        assert until(lambda: len(descriptors()) <= len(before))
        assert kept() == alive
