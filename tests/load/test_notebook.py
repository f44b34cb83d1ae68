"""One notebook of a visitor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import repeat
from time import monotonic

import pytest

from load.toy_service import ToyService, until
from moorage.load.browser import open_browser
from moorage.load.document import Workbook
from moorage.load.jupyterlab import Site
from moorage.load.measures import Measures
from moorage.load.notebook import NotebookWork
from moorage.load.steps import Step
from moorage.load.stopwatch import Stopwatch
from moorage.tasks import beside

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def working(toy: ToyService, patience: float = 60.0) -> AsyncIterator[Measures]:
    measures = Measures()
    async with toy.running(), open_browser(toy.url) as browser:
        watch = Stopwatch(1, measures, monotonic, patience)
        work = NotebookWork(browser, Site("/user/7/lab"), Workbook("n.ipynb"), watch, repeat(0.01))
        async with beside(work.run(), name="work"):
            yield measures


async def test_it_is_opened_run_and_saved() -> None:
    toy = ToyService()
    async with working(toy) as measures:
        await until(lambda: len(measures.samples[Step.SAVE]) == 2)
        for step in (Step.NOTEBOOK, Step.KERNEL, Step.FIRST):
            assert len(measures.samples[step]) == 1
        assert len(measures.samples[Step.EXECUTE]) >= 3
    assert measures.failures == []
    assert len(toy.saved["n.ipynb"]["content"]["cells"]) >= 4


async def test_a_websocket_that_is_closed_is_opened_again() -> None:
    toy = ToyService()
    toy.closes_at = "execute_request"
    async with working(toy) as measures:
        await until(lambda: measures.samples[Step.FIRST])
        (failure,) = measures.failures
        assert failure.step is Step.FIRST
        assert toy.asked["POST /user/7/api/sessions"] == 1


async def test_a_save_that_fails_stops_nothing() -> None:
    toy = ToyService()
    async with working(toy) as measures:
        await until(lambda: measures.samples[Step.NOTEBOOK])
        toy.save = 507
        await until(lambda: len(measures.failures) == 2)
        assert {(each.step, each.trouble.status) for each in measures.failures} == {(Step.SAVE, 507)}


async def test_a_kernel_that_does_not_answer_is_an_error() -> None:
    toy = ToyService()
    toy.mute = True
    async with working(toy, 0.5) as measures:
        await until(lambda: measures.failures)
        assert measures.failures[0].step is Step.KERNEL
        assert "No answer in 0.5 s" in measures.failures[0].trouble.text


async def test_a_session_without_a_kernel_is_an_error() -> None:
    toy = ToyService()
    toy.kernels = 503
    async with working(toy) as measures:
        await until(lambda: measures.failures)
        failure = measures.failures[0]
        assert (failure.step, failure.trouble.status) == (Step.KERNEL, 503)
