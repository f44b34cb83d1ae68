"""Lists of all kernel types: no provider makes them fail, and none makes them wait."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from moorage.discovery import Finder, KernelSpec, KernelType, from_blocking, list_types
from moorage.discovery.cache import Cache
from moorage.discovery.listing import FRESH, ago
from moorage.discovery.settings import DiscoverySettings
from moorage.errors import LaunchError

GENEROUS = 8.0
"""Seconds: less than the ten for which a provider hangs, and more than a busy machine needs."""


def kernel_type(provider, name="k", **rest):
    return KernelType(KernelSpec(name, ("x",), name, "x", provider=provider), **rest)


def steady(name, **options):
    return from_blocking(name, lambda _: [kernel_type(name)], **options)


class Hanging:
    """Answers when it is let go."""

    def __init__(self, name="late", *, slow=True) -> None:
        self.release = threading.Event()
        self.asked = 0
        self.provider = from_blocking(name, self.look, slow=slow)

    def look(self, _around):
        self.asked += 1
        self.release.wait(10)
        return [kernel_type("late", f"k{self.asked}")]


@contextmanager
def hanging(**options) -> Iterator[Hanging]:
    one = Hanging(**options)
    try:
        yield one
    finally:
        one.release.set()


@pytest.fixture
def finder(tmp_path):
    def make(*providers, **rest):
        rest.setdefault("cache", Cache(tmp_path / "cache"))
        rest.setdefault("settings", DiscoverySettings())
        loads = {each.name: lambda each=each: each for each in providers}
        return Finder(tmp_path, providers=loads, environ={}, **rest)

    return make


def names(listing):
    return [each.name for each in listing.types]


def test_all_providers_are_asked_and_keep_their_order(finder):
    listing = finder(steady("b"), steady("a")).survey(GENEROUS)
    assert names(listing) == ["b/k", "a/k"]
    assert listing.remarks == ()
    assert listing.late == ()


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (ZeroDivisionError("by\nnought"), "failed: ZeroDivisionError: by nought"),
        (SystemExit(), "failed: SystemExit"),
        (KeyboardInterrupt(), "failed: KeyboardInterrupt"),
        (LaunchError("the box is off", do="Turn it on"), "the box is off (E-LAUNCH). Turn it on."),
    ],
)
def test_one_that_fails_costs_a_line(finder, raised, says):
    def look(_):
        raise raised

    listing = finder(steady("a"), from_blocking("bad", look), steady("c")).survey(GENEROUS)
    assert names(listing) == ["a/k", "c/k"]
    (remark,) = listing.remarks
    assert (remark.provider, remark.text, remark.broken) == ("bad", says, True)


def test_one_that_hangs_is_not_waited_for(finder):
    with hanging() as late:
        began = time.monotonic()
        listing = finder(steady("a"), late.provider).survey(0.3)
        assert time.monotonic() - began < GENEROUS
    assert names(listing) == ["a/k"]
    assert listing.late == ("late",)
    assert "has not answered yet" in listing.remarks[0].text


@pytest.mark.anyio
async def test_nor_does_a_loop_wait(finder):
    ticks = []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    with hanging() as late:
        async with asyncio.timeout(GENEROUS), asyncio.TaskGroup() as group:
            ticking = group.create_task(tick())
            listing = await finder(steady("a"), late.provider).list_types(0.2)
            ticking.cancel()
    assert names(listing) == ["a/k"]
    assert len(ticks) > 3


def test_it_goes_on_behind_and_the_next_list_has_its_answer(finder):
    with hanging() as late:
        one = finder(late.provider)
        assert one.survey(0.01).late == ("late",)
        assert one.survey(0.01).late == ("late",)
        assert late.asked == 1  # it is being asked already
        late.release.set()
        assert names(one.survey(GENEROUS)) == ["late/k1"]


def test_what_it_said_before_is_shown_and_called_stale(finder, tmp_path):
    cache = Cache(tmp_path / "c")
    cache.save("late", [kernel_type("late", "old")], time.time() - 300)
    with hanging() as late:
        listing = finder(late.provider, cache=cache).survey(0.01)
    assert [(each.name, each.stale) for each in listing.types] == [("late/old", True)]
    assert listing.remarks[0].text == "has not answered yet; shown is what it found 5 min ago"


def test_what_a_swift_one_said_is_shown_when_it_hangs_later(finder):
    with hanging(slow=False) as late:
        one = finder(late.provider)
        late.release.set()
        assert not one.survey(GENEROUS).types[0].stale
        late.release.clear()
        listing = one.survey(0.01)
    assert [(each.name, each.stale) for each in listing.types] == [("late/k1", True)]


def test_answers_of_slow_ones_are_kept_for_others_and_for_a_minute(finder, tmp_path):
    cache = Cache(tmp_path / "c")
    with hanging() as late:
        late.release.set()
        finder(late.provider, cache=cache).survey(GENEROUS)
        again = finder(late.provider, cache=cache).survey(GENEROUS)
        assert late.asked == 1
        assert [(each.name, each.stale) for each in again.types] == [("late/k1", False)]
        content = json.loads(cache.path("late").read_bytes())
        for at in (time.time() - FRESH - 1, time.time() + 1000):  # old, or of a clock that was wrong
            cache.path("late").write_text(json.dumps(content | {"at": at}))
            finder(late.provider, cache=cache).survey(GENEROUS)
        assert late.asked == 3


def test_answers_of_swift_ones_are_not_kept(finder, tmp_path):
    cache = Cache(tmp_path / "c")
    finder(steady("a"), cache=cache).survey(GENEROUS)
    assert cache.load("a") is None


def test_a_cache_that_makes_no_sense_costs_nothing(finder, tmp_path):
    cache = Cache(tmp_path / "c")
    cache.folder.mkdir()
    cache.path("a").write_bytes(b"{\xff")
    assert names(finder(steady("a", slow=True), cache=cache).survey(GENEROUS)) == ["a/k"]


def test_what_the_configuration_leaves_out_is_not_listed(finder):
    settings = DiscoverySettings(exclude=("a/*",))
    assert names(finder(steady("a"), steady("b"), settings=settings).survey(GENEROUS)) == ["b/k"]


def test_the_configuration_of_the_folder_counts_and_one_that_is_wrong_hides_nothing(finder, tmp_path):
    (tmp_path / "moorage.toml").write_text("[discovery]\ninclude = ['b/*']")
    assert names(finder(steady("a"), steady("b"), settings=None).survey(GENEROUS)) == ["b/k"]
    (tmp_path / "moorage.toml").write_text("[discovery]\ninclude = 3")
    assert names(finder(steady("a"), steady("b"), settings=None).survey(GENEROUS)) == ["a/k", "b/k"]


def test_a_hundred_providers_and_no_thread_is_left(finder):
    before = threading.active_count()
    one = finder(*(steady(f"p{number}") for number in range(100)))
    assert len(one.survey(60).types) == 100
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


@pytest.mark.anyio
async def test_all_that_are_installed_are_asked_by_default():
    listing = await list_types(60)
    assert "spec/python3" in names(listing)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (59.9, "59 s"), (61, "1 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_spans_of_time(seconds, text):
    assert ago(seconds) == text
