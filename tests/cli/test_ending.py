"""Commands that run until a signal ends them."""

from __future__ import annotations

import asyncio
import signal

import pytest

from moorage.cli.ending import told_to_end

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_and_is_handled_as_before_afterwards(signum: signal.Signals) -> None:
    before = signal.getsignal(signum)
    await asyncio.wait_for(told_to_end(lambda: signal.raise_signal(signum)), 60)
    assert signal.getsignal(signum) in {before, signal.SIG_DFL, signal.default_int_handler}


async def test_cancelling_is_safe() -> None:
    ready = asyncio.Event()
    task = asyncio.create_task(told_to_end(ready.set))
    await asyncio.wait_for(ready.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
