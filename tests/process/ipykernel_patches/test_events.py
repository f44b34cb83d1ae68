"""Events of ipykernel's printing thread that raise, in real kernels."""

from __future__ import annotations

import asyncio

import pytest

from moorage.kernel.launch import launch

RAISING = r"""
thread = get_ipython().kernel.iopub_thread
for n in range(200):
    thread.schedule(lambda: 1 / 0)
    thread.schedule(lambda: None)
display(1)
print("\ud800")
"""


@pytest.mark.anyio
@pytest.mark.parametrize("fork", [False, True], ids=["spawned", "forked"])
async def test_an_event_that_raises_keeps_no_later_one_waiting(fork):
    async with launch("python3", fork=fork) as kernel:
        result = await asyncio.wait_for(kernel.execute(RAISING), 120)
        shown = [one["data"] for one in result.outputs if one["output_type"] == "display_data"]
        assert shown == [{"text/plain": "1"}]
        assert result.complete
        assert (await asyncio.wait_for(kernel.execute("2"), 60)).outputs[0]["data"] == {"text/plain": "2"}


@pytest.fixture
def anyio_backend():
    return "asyncio"
