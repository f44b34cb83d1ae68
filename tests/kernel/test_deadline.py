"""When a kernel must have answered."""

from __future__ import annotations

import asyncio

import pytest

from moorage.errors import DeadlineExceeded
from moorage.kernel.deadline import Deadline
from moorage.kernel.supervisor import Supervisor
from moorage.process.base import LaunchSpec

pytestmark = pytest.mark.anyio


class Never:
    """A launcher that never starts anything."""

    def launch(self, spec):
        raise AssertionError(spec)


async def test_a_sooner_one_never_passes_later():
    deadline = Deadline(100, "k")
    assert deadline.sooner(10).at < deadline.at
    assert deadline.sooner(1000).at == deadline.at


async def test_what_was_not_started_in_time_is_told():
    supervisor = Supervisor("k", LaunchSpec((), "/", {}), Never())
    with pytest.raises(DeadlineExceeded, match=r"the kernel k was not started within 0\.01 s"):
        async with asyncio.timeout(10):
            await Deadline(0.01, "k").started(supervisor)


async def test_work_that_takes_too_long_is_cancelled_and_told():
    with pytest.raises(DeadlineExceeded, match=r"it was not done within 0\.01 s.*Too far\. Wait longer"):
        async with Deadline(0.01, "k").covering("it was not done", why="Too far", do="Wait longer"):
            await asyncio.Event().wait()


async def test_a_timeout_of_the_work_itself_passes():
    with pytest.raises(TimeoutError, match="its own"):
        async with Deadline(100, "k").covering("it was not done", why="", do=""):
            raise TimeoutError("its own")


async def test_the_full_name_moves_no_deadline():
    deadline = Deadline(100, "k")
    assert deadline.of("spec/k").at == deadline.at
