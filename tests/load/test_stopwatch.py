"""Times and errors of one visitor."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from moorage.load.measures import Measures, Sample, SeenError, Unfinished
from moorage.load.steps import Step, StepFailed, Trouble
from moorage.load.stopwatch import Stopwatch

pytestmark = pytest.mark.anyio


def made(patience: float = 60.0) -> tuple[Measures, Stopwatch]:
    measures, times = Measures(), count(1.0)
    return measures, Stopwatch(4, measures, lambda: next(times), patience)


async def test_a_step_is_timed() -> None:
    measures, watch = made()
    async with watch.step(Step.SAVE):
        pass
    assert measures.samples == {Step.SAVE: [Sample(3.0, 1.0)]}


async def test_what_fails_and_what_takes_too_long_is_written_down() -> None:
    measures, watch = made(0.01)
    with pytest.raises(StepFailed):
        async with watch.step(Step.SAVE):
            raise StepFailed("x", 500)
    with pytest.raises(StepFailed):
        async with watch.step(Step.SAVE):
            await asyncio.Event().wait()
    troubles = [Trouble("x", 500), Trouble("No answer in 0.01 s")]
    assert measures.failures == [
        SeenError(at, 4, Step.SAVE, each) for at, each in zip((2, 4), troubles, strict=True)
    ]
    assert measures.samples == {}


async def test_what_is_cancelled_was_under_way() -> None:
    measures, watch = made()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), watch.step(Step.SAVE):
            await asyncio.Event().wait()
    assert measures.unfinished == [Unfinished(Step.SAVE, 1.0)]
    assert measures.failures == []
