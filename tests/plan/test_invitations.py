"""Seats of invitations, and what holds whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.invitations import Invitation, Invitations, KeptInvitation

NOW = 100.0
CLASS = Invitation("i", 2, 200, "physics")


def kept(*seated: str, withdrawn: bool = False) -> KeptInvitation:
    return KeptInvitation(CLASS, seated, withdrawn)


@pytest.mark.parametrize(
    ("before", "now", "names", "state"),
    [
        (kept(), NOW, [], "open"),
        (kept("a"), NOW, ["b"], "open"),
        (kept("a", "b"), NOW, ["c"], "used up"),
        (kept("a", "b"), NOW, [], "used up"),
        (kept("a", "b"), NOW, ["c", "b"], "open"),
        (kept("a"), 199.9, ["a"], "open"),
        (kept("a"), 200.0, ["a"], "expired"),
        (kept("a", withdrawn=True), NOW, ["a"], "withdrawn"),
        (kept(withdrawn=True), 200.0, [], "expired"),
    ],
)
def test_how_one_stands_for_a_visitor(before, now, names, state) -> None:
    assert Invitations([before]).state(CLASS, names, now) == state


def test_what_is_not_kept_lets_in_none() -> None:
    invitations = Invitations()
    assert invitations.state(CLASS, ["a"], NOW) == "withdrawn"
    assert invitations.state(CLASS, ["a"], 200.0) == "expired"
    assert invitations.seated("i", "a", [], NOW) is None
    assert invitations.left("i", "a") is None


@pytest.mark.parametrize(
    ("before", "visitor", "names", "seated"),
    [
        (kept(), "a", [], ("a",)),
        (kept("a"), "b", [], ("a", "b")),
        (kept("a", "b"), "c", [], None),
        (kept("a", "b"), "a", ["a"], ("a", "b")),
        (kept("a", "b"), "c", ["a", "c"], ("b", "c")),  # another name of the first one's browser
        (kept("a", "b"), "a", ["a", "b"], ("a",)),  # one browser had both
        (kept(withdrawn=True), "a", [], None),
        (kept("a", withdrawn=True), "a", ["a"], None),
    ],
)
def test_a_seat_is_taken(before, visitor, names, seated) -> None:
    after = Invitations([before]).seated("i", visitor, names, NOW)
    assert (after and after.seated) == seated
    assert Invitations([before]).seated("i", visitor, names, 200.0) is None


def test_what_is_not_written_down_has_not_happened() -> None:
    invitations = Invitations([kept()])
    after = invitations.seated("i", "a", [], NOW)
    assert not invitations.invites(["a"], "physics", NOW)
    invitations.keep(after)
    assert invitations.invites(["x", "a"], "physics", NOW)
    assert not invitations.invites(["a"], "chemistry", NOW)
    assert not invitations.invites(["a"], "physics", 200.0)
    invitations.keep(invitations.left("i", "a"))
    assert not invitations.invites(["a"], "physics", NOW)


def test_by_which_invitation_a_visitor_has_a_seat() -> None:
    other = Invitation("j", 1, 150, "physics")
    invitations = Invitations([kept("a"), KeptInvitation(other, ("b",))])
    assert invitations.inviting(["x", "b"], "physics", NOW) == other
    assert invitations.inviting(["b", "a"], "physics", NOW) == CLASS
    assert invitations.inviting(["b"], "physics", 150.0) is None
    assert invitations.inviting(["a"], "chemistry", NOW) is None
    assert invitations.inviting([], "physics", NOW) is None


def test_what_has_expired_is_forgotten() -> None:
    invitations = Invitations([kept()])
    assert invitations.expired(199.0) == []
    assert invitations.expired(200.0) == ["i"]
    invitations.forget("i")
    assert list(invitations) == []


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef")))))
def test_no_more_seats_are_taken_than_there_are_and_each_by_one(steps) -> None:
    invitations = Invitations([kept()])
    for takes, visitor, names in steps:
        before = invitations.get("i")
        asked = invitations.seated("i", visitor, names, NOW) if takes else invitations.left("i", visitor)
        if asked is None:
            assert not takes or len(before.seated) == 2
            continue
        invitations.keep(asked)
        assert len(asked.seated) == len(set(asked.seated)) <= 2
        assert not takes or set(asked.seated) & {visitor, *names} == {visitor}
