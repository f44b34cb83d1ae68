"""When spares are started, taken and started again."""

from __future__ import annotations

from moorage.plan.census import CensusRow
from moorage.plan.spares import FIRST_PAUSE, LONGEST_PAUSE, AllSpares, Spares, wanted_of
from moorage.plan.visits import OfferTerms


def test_as_many_as_are_wanted_and_no_more_at_once_than_may_be() -> None:
    spares = Spares(3, 2)
    for name in ("a", "b"):
        assert spares.due(0, 0.0)
        spares.begun(name)
    assert not spares.due(0, 0.0)
    spares.answered("a")
    assert not spares.due(1, 0.0)  # a visitor's server is on its way, too
    assert spares.due(0, 0.0)
    spares.begun("c")
    spares.answered("b")
    spares.answered("c")
    assert not spares.due(0, 0.0)
    assert (len(spares), spares.ready, spares.starting) == (3, ("a", "b", "c"), 0)


def test_the_oldest_that_answers_is_taken_first_and_else_the_oldest_that_starts() -> None:
    spares = Spares(3, 3)
    for name in ("a", "b", "c"):
        spares.begun(name)
    spares.answered("c")
    spares.answered("b")
    spares.answered("c")
    assert [spares.take(0.0) for _ in range(4)] == [("c", True), ("b", True), ("a", False), None]
    assert "a" not in spares


def test_one_that_ends_again_and_again_is_started_later_each_time() -> None:
    spares, now, pauses = Spares(1, 1), 0.0, []
    for name in range(10):
        assert spares.due(0, now)
        spares.begun(str(name))
        spares.ended(str(name), now)
        assert not spares.due(0, now)
        step = next(seconds for seconds in (1, 2, 4, 8, 16, 32, 60) if spares.due(0, now + seconds))
        pauses.append(step)
        now += step
    assert (pauses[0], pauses[1], pauses[-1]) == (FIRST_PAUSE, 2, LONGEST_PAUSE)
    spares.begun("x")
    spares.answered("x")
    spares.ended("x", now)
    assert spares.due(0, now + FIRST_PAUSE)


def test_the_newest_is_too_many_and_one_that_starts_before_one_that_answers() -> None:
    spares = Spares(0, 1)
    assert spares.newest_too_many is None
    spares.begun("a")
    spares.begun("b")
    spares.begun("c")
    spares.answered("b")
    assert spares.newest_too_many == "c"
    spares.drop("c")
    spares.drop("a")
    assert spares.newest_too_many == "b"
    spares.wanted = 1
    assert spares.newest_too_many is None


def test_the_next_one_is_put_off_after_a_hand_out_but_not_again_and_again() -> None:
    spares = Spares(3, 3)
    for name in ("a", "b", "c"):
        spares.begun(name)
        spares.answered(name)
    spares.take(10.0)
    assert not spares.due(0, 10.0)
    spares.take(10.9)
    assert spares.due(0, 11.0)


def wanted(spares: AllSpares) -> dict[str, int]:
    return {offer: each.wanted for offer, each in spares.items()}


def test_the_spares_of_all_offers() -> None:
    spares = AllSpares(1, 9)
    assert wanted(spares) == {"": 1}
    spares.change({"a": OfferTerms(spares=1), "b": OfferTerms(spares=2)})
    assert (spares.of("c"), wanted(spares), len(spares)) == (None, {"a": 1, "b": 2}, 0)
    for offer, name in (("a", "p"), ("b", "q"), ("b", "r")):
        spares.of(offer).begun(name)
    spares.answered("q")
    spares.answered("x")
    assert (spares.ready, spares.newest, list(spares)) == (("q",), "r", ["p", "r", "q"])
    assert spares.newest_too_many is None
    assert spares.end("p")
    assert not spares.end("p")
    assert spares.ending == {"p": "a"}
    assert list(spares.rows()) == [
        CensusRow("r", "starting", "b", spare=True),
        CensusRow("q", "ready", "b", spare=True),
        CensusRow("p", "ending", "a", spare=True),
    ]
    spares.ended("p", 0.0)
    spares.ended("r", 0.0)
    assert (spares.ending, list(spares)) == ({}, ["q"])


def test_how_many_are_kept_of_each_offer_outlives_their_terms() -> None:
    spares = AllSpares(1, 9)
    spares.keep(0)
    assert not any(wanted(spares).values())
    spares.change({"a": OfferTerms(spares=1), "b": OfferTerms(spares=2)})
    assert not any(wanted(spares).values())
    spares.keep(3)
    assert wanted(spares) == {"a": 3, "b": 3}
    spares.of("a").begun("p")
    spares.keep(0)
    assert spares.newest_too_many == "p"


def test_what_was_told_holds_whatever_offers_say() -> None:
    spares = AllSpares(0, 1)
    spares.change({"a": OfferTerms(0, 1), "b": OfferTerms(0, 2)})
    spares.keep(5, "b")
    assert {name: each.wanted for name, each in spares.items()} == {"a": 1, "b": 5}
    spares.change({"b": OfferTerms(0, 2), "c": OfferTerms(0, 3)})
    assert {name: each.wanted for name, each in spares.items()} == {"b": 5, "c": 3}
    assert wanted_of(spares) == (8, None)
    spares.keep(4)
    assert wanted_of(spares) == (8, 4)
    spares.keep(0, "c")
    spares.change({"b": OfferTerms(), "c": OfferTerms()})
    assert {name: each.wanted for name, each in spares.items()} == {"b": 4, "c": 0}
