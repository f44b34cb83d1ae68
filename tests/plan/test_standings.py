"""Which name of a browser counts, what is old, and what is forgotten."""

from __future__ import annotations

import itertools

import pytest

from moorage.plan.standings import REMEMBERED, is_live, known_name, oldest_gone, ready_for
from moorage.plan.visits import InQueue, ServerEnding, ServerGone, ServerReady, ServerStarting, SpareTaken

GONE = ServerGone("g", "x", "", answered=True)
RANKS = [
    [ServerStarting("s", 0.0), SpareTaken("t", 0.0), ServerReady("r", 0.0), ServerEnding("e", "x")],
    [InQueue(0.0)],
    [GONE],
    [None],
]


@pytest.mark.parametrize(("more", "less"), [*itertools.combinations(range(len(RANKS)), 2)])
def test_a_server_counts_most_and_then_a_place_in_the_queue(more: int, less: int) -> None:
    for high, low in itertools.product(RANKS[more], RANKS[less]):
        standings = {name: has for name, has in (("a", low), ("b", high)) if has is not None}
        assert known_name(["a", "b"], standings) == "b"
        assert known_name(["b", "a"], standings) == "b"


def test_the_first_of_those_that_count_the_same() -> None:
    assert known_name(["b", "a"], {}) == "b"
    assert known_name(["b", "a"], {"a": InQueue(0.0), "b": InQueue(1.0)}) == "b"
    assert known_name([], {}) is None


def test_what_has_ended_is_not_live() -> None:
    assert [[is_live(has) for has in rank] for rank in RANKS] == [[True] * 4, [True], [False], [False]]


def test_servers_that_were_handed_out_so_long_ago() -> None:
    standings = {
        "a": ServerReady("1", 1.0),
        "b": ServerReady("2", 2.0),
        "c": ServerStarting("3", 0.0),
        "d": GONE,
        "e": ServerReady("5", 0.0),
    }
    assert ready_for(9.0, 10.0, ["a", "b", "c", "d", "x"], standings) == ["1"]
    assert ready_for(0.0, 10.0, ["a", "b"], standings) == []


def test_the_oldest_are_forgotten() -> None:
    standings = {"a": ServerReady("1", 1.0), **{f"g{number}": GONE for number in range(REMEMBERED + 2)}}
    assert oldest_gone(standings) == ["g0", "g1"]
    assert oldest_gone({"a": GONE}) == []
