"""The websocket to a kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from load.toy_service import ToyService
from moorage.load.browser import open_browser
from moorage.load.document import RanCell
from moorage.load.kernel_channel import KernelChannel, open_channel
from moorage.load.steps import StepFailed

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[ToyService, KernelChannel]]:
    async with (
        ToyService().running() as toy,
        open_browser(toy.url) as browser,
        open_channel(browser, "/user/7/api/kernels/k/channels") as channel,
    ):
        yield toy, channel


async def test_cells_run() -> None:
    async with opened() as (_, channel):
        await channel.greet()
        await channel.run(RanCell("print(6 * 7)", "42"))
        assert channel.closed is None


async def test_what_comes_otherwise_is_an_error() -> None:
    async with opened() as (toy, channel):
        with pytest.raises(StepFailed, match="did not come, or came otherwise"):
            await channel.run(RanCell("print(6 * 7)", "43"))
        toy.cell = "error"
        with pytest.raises(StepFailed, match="The cell failed: E: v"):
            await channel.run(RanCell("print(6 * 7)", "42"))


async def test_a_websocket_that_is_closed_is_an_error_of_what_waits_and_of_what_comes() -> None:
    async with opened() as (toy, channel):
        toy.closes_at = "execute_request"
        await channel.greet()
        for _ in range(2):
            with pytest.raises(StepFailed, match="closed with code 1011"):
                await channel.run(RanCell("print(1)", "1"))
        assert channel.closed is not None
