"""A crowd, and its end."""

from __future__ import annotations

import asyncio
import time

import pytest

from load.toy_service import ToyService, until
from moorage.load.crowd import Crowd, CrowdEnd
from moorage.load.settings import LoadSettings
from moorage.load.steps import Step
from moorage.tasks import beside

pytestmark = pytest.mark.anyio


async def test_all_come_and_go_and_are_counted() -> None:
    toy = ToyService()
    async with toy.running():
        settings = LoadSettings(toy.url, visitors=5, within=0.1, notebooks=1, seconds=600, pause=0.01)
        ending = CrowdEnd()
        crowd = Crowd(settings, ending)
        async with beside(crowd.come(), name="come") as task:
            measures = crowd.measures
            await until(lambda: len(measures.let_in) == 5 and len(measures.samples[Step.SAVE]) > 5)
            assert crowd.standing.inside == 5
            ending.end()
            async with asyncio.timeout(60):
                await asyncio.wait([task])
    assert measures.failures == []
    assert len(measures.samples[Step.END]) == 5
    assert measures.standings[-1].inside == 0
    assert 0 < measures.seconds < 600
    assert len(set(toy.tokens)) == 5  # each has cookies of its own


async def test_the_time_is_over() -> None:
    toy = ToyService()
    async with toy.running():
        crowd = Crowd(LoadSettings(toy.url, visitors=3, within=3000, notebooks=0, seconds=0.5), CrowdEnd())
        async with asyncio.timeout(60):
            await crowd.come()
    assert crowd.measures.came == {1}
    assert crowd.measures.seconds == 0.5


async def test_it_knows_how_late_it_was() -> None:
    toy = ToyService()
    async with toy.running():
        ending = CrowdEnd()
        crowd = Crowd(LoadSettings(toy.url, visitors=1, notebooks=0, seconds=600), ending)
        async with beside(crowd.come(), name="come") as task:
            await until(lambda: crowd.measures.let_in)
            time.sleep(0.3)  # what is measured
            await asyncio.sleep(0)
            ending.end()
            async with asyncio.timeout(60):
                await asyncio.wait([task])
    assert crowd.measures.latest >= 0.2


def test_what_comes_after_the_end_is_told_at_once() -> None:
    ending, told = CrowdEnd(), []
    call_off = ending.on_end(lambda: told.append(1))
    assert call_off is not None
    call_off()
    ending.on_end(lambda: told.append(2))
    ending.end()
    ending.on_end(lambda: told.append(3))
    assert told == [2, 3]
