"""One visitor from the front page to the end."""

from __future__ import annotations

import asyncio
from itertools import repeat
from time import monotonic

import pytest

from load.toy_service import ToyService, until
from moorage.load import visitor as module
from moorage.load.browser import open_browser
from moorage.load.entrance import Entrance
from moorage.load.measures import Measures
from moorage.load.settings import LoadSettings
from moorage.load.steps import Step
from moorage.load.stopwatch import Stopwatch
from moorage.load.visitor import SimulatedVisitor
from moorage.tasks import beside

pytestmark = pytest.mark.anyio


async def visit(toy: ToyService, true, **settings) -> tuple[Measures, str]:
    """Have a visitor come, wait for something, and have it leave; return where it was before, too."""
    measures = Measures()
    chosen = LoadSettings(toy.url, **settings)
    async with toy.running(), open_browser(toy.url) as browser:
        watch = Stopwatch(1, measures, monotonic, chosen.patience)
        visitor = SimulatedVisitor(1, browser, Entrance("/"), chosen, measures, watch, repeat(0.01))
        async with beside(visitor.visit(), name="visit") as task:
            await until(lambda: true(measures) or task.done())
        place = visitor.place
        await visitor.leave()
        await visitor.leave()
    return measures, place


async def test_it_works_and_ends_its_server() -> None:
    toy = ToyService()
    measures, place = await visit(toy, lambda seen: len(seen.samples[Step.SAVE]) > 2, notebooks=2)
    assert (measures.failures, place) == ([], "inside")
    assert (measures.came, measures.let_in, measures.queued) == ({1}, {1}, set())
    assert len(measures.samples[Step.FIRST]) == 2
    assert toy.asked["GET /user/7/lab/extensions/e/static/r.js"] == 1
    assert toy.asked["GET /user/7/api/me"] == 1
    assert toy.asked["POST /end"] == 1
    assert len(measures.samples[Step.END]) == 1


async def test_it_waits_in_the_queue() -> None:
    toy = ToyService()
    toy.queue = 2
    measures, _ = await visit(toy, lambda seen: seen.let_in)
    assert (measures.queued, measures.let_in, measures.failures) == ({1}, {1}, [])
    assert len(measures.samples[Step.QUEUE]) == 1
    assert toy.asked["GET /queue"] == 3


async def test_it_leaves_the_queue_at_the_end() -> None:
    toy = ToyService()
    toy.queue = 10**9
    measures, place = await visit(toy, lambda seen: toy.asked["GET /queue"] > 3)
    assert (place, measures.let_in, measures.failures) == ("queued", set(), [])
    assert toy.asked["POST /end"] == 1
    assert measures.unfinished[0].step is Step.QUEUE


async def test_a_refusal_and_an_error() -> None:
    toy = ToyService()
    toy.start = 429
    measures, place = await visit(toy, lambda _: False)
    assert (measures.refused[1].status, measures.failures, place) == (429, [], "gone")
    toy = ToyService()
    toy.landing = 500
    measures, place = await visit(toy, lambda _: False)
    assert (measures.failures[0].step, measures.failures[0].trouble.status) == (Step.READY, 500)
    assert (measures.let_in, place) == (set(), "gone")
    assert toy.asked["POST /end"] == 1  # of the server that was started, and none for the refusal


async def test_a_crowd_at_the_end_is_no_error() -> None:
    toy = ToyService()
    toy.crowded = 3
    measures, place = await visit(toy, lambda seen: seen.let_in)
    assert (place, measures.failures, len(measures.samples[Step.END])) == ("inside", [], 1)
    assert (toy.asked["GET /server"], toy.asked["POST /end"]) == (4, 1)
    toy = ToyService()
    toy.queue, toy.crowded = 10**9, 2  # the form of the queue meets it, and then the page that it leads to
    measures, _ = await visit(toy, lambda _: toy.asked["GET /queue"] > 3)
    assert measures.failures == []
    assert (toy.asked["POST /end"], toy.asked["GET /end"], toy.asked["GET /server"]) == (2, 1, 2)


async def test_a_server_that_has_ended_by_itself() -> None:
    toy = ToyService()
    toy.ended = True
    measures, _ = await visit(toy, lambda seen: seen.let_in)
    assert [(each.step, each.trouble.text) for each in measures.failures] == [
        (Step.END, "There is no server to end: Hello")
    ]
    assert toy.asked["POST /end"] == 0


async def test_it_leaves_after_its_stay() -> None:
    toy = ToyService()
    measures, _ = await visit(toy, lambda _: False, stay=0.05, notebooks=0)
    began = len(measures.samples[Step.PAGE]) + sum(each.step is Step.PAGE for each in measures.unfinished)
    assert (began, measures.failures) == (1, [])  # it may leave while its page loads
    assert toy.asked["POST /end"] == 1
    assert toy.asked["GET /user/7/api/me"] == 0  # another kind of server is only looked at


async def test_it_polls_and_gives_up_a_server_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OFTEN", 0.01)
    toy = ToyService()

    def once(measures: Measures) -> bool:
        if measures.samples[Step.POLL]:
            toy.landing = 404
        return False

    measures, place = await visit(toy, once, notebooks=0)
    assert [(each.step, each.trouble.status) for each in measures.failures] == [(Step.POLL, 404)] * 3
    assert place == "gone"
    assert toy.asked["POST /end"] == 1  # it may be there all the same


async def test_a_step_that_takes_too_long() -> None:
    toy = ToyService()

    async def never(_):
        await asyncio.Event().wait()

    toy._front = never
    measures, _ = await visit(toy, lambda _: False, patience=0.1)
    assert measures.failures[0].trouble.text == "No answer in 0.1 s"
    assert toy.asked["POST /end"] == 0
