"""What launched and attached kernels have in common."""

from __future__ import annotations

import asyncio

import pytest

from moorage.kernel.attach import AttachedKernel, attach
from moorage.kernel.kernel import Kernel
from moorage.kernel.launch import launch
from moorage.plan.lifecycle import Exited, Running

pytestmark = pytest.mark.anyio


async def test_subscribers_of_either_are_told_of_its_end_until_they_are_not():
    async with launch("python3") as kernel, attach(kernel.connection_file) as attached:
        told, ended = [], asyncio.Event()
        kernel.subscribe(lambda status: told.append(("launched", status)))
        attached.subscribe(lambda status: told.append(("attached", status)))
        attached.subscribe(lambda status: ended.set() if isinstance(status, Exited) else None)
        deaf = []
        unsubscribe = kernel.subscribe(deaf.append)
        unsubscribe()
        unsubscribe()
        await kernel.shutdown(at_once=True)
        async with asyncio.timeout(60):
            await ended.wait()
        for which in (kernel, attached):
            assert isinstance(which.status, Exited)
        assert ("launched", kernel.status) in told
        assert ("attached", attached.status) in told
        assert deaf == []


async def test_both_run_code_and_show_themselves():
    async with launch("python3") as kernel, attach(kernel.connection_file) as attached:
        for each, kind in ((kernel, Kernel), (attached, AttachedKernel)):
            assert isinstance(each, kind)
            assert isinstance(each.status, Running)
            assert (await each.execute("6 * 7")).text == "42\n"
            assert each.connection_file == kernel.connection_file
            assert repr(each).startswith(f"<{kind.__name__} python3 running, pid {kernel.process.pid}")
