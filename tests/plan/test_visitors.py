"""Every row of the table, and what holds whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.clock import Tick
from moorage.plan.spares import PUT_OFF
from moorage.plan.standings import REMEMBERED
from moorage.plan.visitors import Visitors
from moorage.plan.visits import (
    Admit,
    DrainChanged,
    EndAsked,
    EndServer,
    HandOut,
    InQueue,
    LimitsChanged,
    NextStep,
    OffersChanged,
    OfferTerms,
    QueueLeft,
    ServerAdopted,
    ServerAnswered,
    ServerEnded,
    ServerEnding,
    ServerGone,
    ServerReady,
    ServersFit,
    ServerStarting,
    ServerWanted,
    ShutOut,
    SpareChecked,
    SpareTaken,
    StartServer,
    VisitorCame,
)
from moorage.plan.waiting_line import LAPSE

STARTING = (ServerWanted("ann", "s1"),)
READY = (*STARTING, ServerAnswered("s1"))
ENDING = (*READY, EndAsked("s1", "idle"))
GONE = (*READY, ServerEnded("s1", "exit code 1", "words"))
FULL = (ServerWanted("b", "1"), ServerWanted("c", "2"))
WAITS = (*FULL, ServerWanted("ann", "3"))
MANY = "it is a spare too many"
SPARE = (NextStep("p"),)
SPARE_READY = (*SPARE, ServerAnswered("p"))
TAKEN = (*SPARE_READY, ServerWanted("ann", "s1"))


def after(*events, capacity: int = 2, spares: int = 0) -> Visitors:
    visitors = Visitors(capacity, spares)
    for event in events:
        visitors.handle(event, 1.0)
    return visitors


@pytest.mark.parametrize(
    ("before", "event", "commands", "standing"),
    [
        ((), ServerWanted("ann", "s1"), [StartServer("s1", "ann")], ServerStarting("s1", 2.0)),
        (STARTING, ServerWanted("ann", "s2"), [], ServerStarting("s1", 1.0)),
        (STARTING, ServerAnswered("s1"), [Admit("s1", "ann")], ServerReady("s1", 2.0)),
        (STARTING, EndAsked("s1", "idle"), [EndServer("s1", "idle")], ServerEnding("s1", "idle")),
        (STARTING, ServerEnded("s1", "x", "w"), [], ServerGone("s1", "x", "w", answered=False)),
        (READY, ServerWanted("ann", "s2"), [], ServerReady("s1", 1.0)),
        (READY, ServerAnswered("s1"), [], ServerReady("s1", 1.0)),
        (READY, EndAsked("s1", "idle"), [ShutOut("s1"), EndServer("s1", "idle")], ServerEnding("s1", "idle")),
        (READY, ServerEnded("s1", "x"), [ShutOut("s1")], ServerGone("s1", "x", "", answered=True)),
        (ENDING, ServerWanted("ann", "s2"), [], ServerEnding("s1", "idle")),
        (ENDING, EndAsked("s1", "again"), [], ServerEnding("s1", "idle")),
        (ENDING, ServerAnswered("s1"), [], ServerEnding("s1", "idle")),
        (ENDING, ServerEnded("s1", "x"), [], ServerGone("s1", "idle", "", answered=True)),
        (GONE, ServerWanted("ann", "s2"), [StartServer("s2", "ann")], ServerStarting("s2", 2.0)),
        (GONE, ServerEnded("s1", "y"), [], ServerGone("s1", "exit code 1", "words", answered=True)),
        (GONE, ServerAnswered("s1"), [], ServerGone("s1", "exit code 1", "words", answered=True)),
        (GONE, EndAsked("s1", "y"), [], ServerGone("s1", "exit code 1", "words", answered=True)),
        ((), ServerAdopted("ann", "s1"), [], ServerStarting("s1", 2.0, answered=True)),
        ((ServerAdopted("ann", "s1"),), ServerAnswered("s1"), [Admit("s1", "ann")], ServerReady("s1", 1.0)),
        (FULL, ServerWanted("ann", "3"), [], InQueue(2.0)),
        ((ServerWanted("b", "1"), ServerAdopted("c", "2")), ServerWanted("ann", "3"), [], InQueue(2.0)),
        (WAITS, ServerWanted("ann", "4"), [], InQueue(1.0)),
        (WAITS, VisitorCame("ann"), [], InQueue(1.0)),
        (WAITS, NextStep("4"), [], InQueue(1.0)),
        (WAITS, QueueLeft("ann"), [], None),
        (READY, QueueLeft("ann"), [], ServerReady("s1", 1.0)),
        ((*WAITS, ServerEnded("2", "x")), NextStep("4"), [StartServer("4", "ann")], ServerStarting("4", 2.0)),
    ],
)
def test_the_table(before, event, commands, standing) -> None:
    visitors = after(*before)
    assert visitors.handle(event, 2.0) == commands
    assert visitors.standing("ann") == standing


@pytest.mark.parametrize(
    ("before", "event", "commands", "standing"),
    [
        ((), NextStep("p"), [StartServer("p", None)], None),
        (SPARE, NextStep("q"), [], None),
        (SPARE, ServerAnswered("p"), [], None),
        (SPARE, ServerWanted("ann", "s1"), [], ServerStarting("p", 2.0, spare=True)),
        (
            (*SPARE, ServerWanted("ann", "s1")),
            ServerAnswered("p"),
            [HandOut("p", "ann")],
            SpareTaken("p", 1.0),
        ),
        (SPARE_READY, ServerWanted("ann", "s1"), [HandOut("p", "ann")], SpareTaken("p", 2.0)),
        (SPARE_READY, ServerEnded("p", "x"), [], None),
        (SPARE_READY, EndAsked("p", "x"), [EndServer("p", "x")], None),
        (SPARE_READY, SpareChecked("p"), [], None),
        (TAKEN, SpareChecked("p"), [Admit("p", "ann")], ServerReady("p", 2.0)),
        (TAKEN, ServerWanted("ann", "s2"), [], SpareTaken("p", 1.0)),
        (TAKEN, EndAsked("p", "x"), [EndServer("p", "x")], ServerEnding("p", "x")),
        (TAKEN, ServerEnded("p", "x"), [], InQueue(1.0)),
        (TAKEN, NextStep("q"), [StartServer("q", None)], SpareTaken("p", 1.0)),
        ((*TAKEN, ServerEnded("p", "x")), SpareChecked("p"), [], InQueue(1.0)),
        ((*TAKEN, ServerEnded("p", "x")), ServerWanted("ann", "q"), [], InQueue(1.0)),
        (
            (*TAKEN, ServerEnded("p", "x")),
            NextStep("q"),
            [StartServer("q", "ann")],
            ServerStarting("q", 2.0),
        ),
        ((ServerAdopted(None, "p"), ServerAdopted(None, "q")), NextStep("r"), [EndServer("q", MANY)], None),
        ((ServerAdopted(None, "p"),), NextStep("r"), [], None),
        ((*READY, ServerAdopted(None, "p")), NextStep("r"), [], ServerReady("s1", 1.0)),
        ((*READY, ServerWanted("b", "s2")), NextStep("p"), [], ServerReady("s1", 1.0)),
    ],
)
def test_the_table_of_spares(before, event, commands, standing) -> None:
    visitors = after(*before, spares=1)
    assert visitors.handle(event, 2.0) == commands
    assert visitors.standing("ann") == standing


def test_a_spare_that_fails_is_replaced_by_the_next_spare_before_others_get_it() -> None:
    visitors = Visitors(3, 2, 2)
    for event in (NextStep("p"), NextStep("q"), ServerAnswered("p"), ServerAnswered("q")):
        visitors.handle(event, 0.0)
    assert visitors.handle(ServerWanted("ann", "s"), 0.0) == [HandOut("p", "ann")]
    visitors.handle(ServerEnded("p", "killed by SIGKILL"), 0.0)
    assert visitors.handle(NextStep("r"), 0.0) == [HandOut("q", "ann")]
    assert visitors.handle(SpareChecked("q"), 0.0) == [Admit("q", "ann")]


def test_spares_count_and_the_last_visitors_get_them() -> None:
    visitors = after(*SPARE_READY, ServerWanted("a", "1"), spares=1)
    visitors.handle(NextStep("q"), 1.0 + PUT_OFF)
    visitors.handle(ServerAnswered("q"), 1.0 + PUT_OFF)
    assert (visitors.running, visitors.has_room("")) == (2, True)
    assert visitors.handle(ServerWanted("b", "2"), 1.0) == [HandOut("q", "b")]
    assert not visitors.has_room("")
    assert visitors.handle(NextStep("r"), 1.0) == []
    assert visitors.handle(ServerWanted("c", "3"), 1.0) == []


def test_an_ending_spare_counts_until_it_has_ended() -> None:
    visitors = after(*SPARE_READY, EndAsked("p", "x"), capacity=1, spares=1)
    assert not visitors.has_room("")
    assert visitors.handle(NextStep("q"), 1.0) == []
    visitors.handle(ServerEnded("p", "x"), 1.0)
    assert visitors.handle(NextStep("q"), 1.0) == [StartServer("q", None)]


def test_an_ended_server_makes_room() -> None:
    visitors = after(ServerWanted("a", "1"), ServerWanted("b", "2"))
    assert (visitors.running, visitors.has_room("")) == (2, False)
    visitors.handle(EndAsked("1", "idle"), 1.0)
    assert not visitors.has_room("")  # it has not ended yet
    visitors.handle(ServerEnded("1", "killed"), 1.0)
    assert (visitors.running, visitors.has_room("")) == (1, True)


def test_only_the_newest_ends_are_remembered() -> None:
    visitors = Visitors(1)
    for number in range(REMEMBERED + 5):
        visitors.handle(ServerWanted(f"v{number}", f"s{number}"), 0.0)
        visitors.handle(ServerEnded(f"s{number}", "x"), 0.0)
    assert visitors.standing("v4") is None
    assert visitors.standing("v5") is not None


events = st.one_of(
    st.builds(ServerWanted, st.sampled_from("abc"), st.uuids().map(str)),
    st.builds(NextStep, st.uuids().map(str)),
    st.builds(ServersFit, st.integers(0, 4)),
    st.builds(
        lambda what, n: (what, n), st.sampled_from(["answered", "checked", "ended", "end"]), st.integers(0, 5)
    ),
)


@given(st.lists(events, max_size=60), st.integers(1, 3), st.integers(0, 3))
def test_no_visitor_has_two_and_no_more_run_than_fit(happened, capacity, spares) -> None:
    visitors, started, ended, admitted, handed = Visitors(capacity, spares, 2), [], set(), {}, {}
    makers = {
        "answered": ServerAnswered,
        "checked": SpareChecked,
        "ended": lambda server: ServerEnded(server, "x"),
        "end": lambda server: EndAsked(server, "x"),
    }
    for drawn in happened:
        event = drawn
        if isinstance(drawn, tuple):
            if drawn[1] >= len(started):
                continue
            server = started[drawn[1]]
            ended |= {server} if drawn[0] == "ended" else set()
            event = makers[drawn[0]](server)
        for command in visitors.handle(event, 0.0):
            match command:
                case StartServer(server, _):
                    started.append(server)
                case HandOut(server, visitor):
                    assert server not in handed
                    handed[server] = visitor
                case Admit(server, visitor):
                    assert server not in ended
                    assert handed.get(server, visitor) == visitor
                    assert visitor not in admitted.values()
                    admitted[server] = visitor
                case ShutOut(server):
                    del admitted[server]
        assert visitors.running == len(set(started) - ended) <= capacity
        assert set(admitted) <= set(started) - ended
        assert len(visitors.ready_spares) <= spares


# -- the queue -------------------------------------------------------------------------------------


def names(visitors: Visitors, *waiting: str) -> list[tuple[int, int]]:
    return [visitors.place(each) for each in waiting]


def test_the_queue_goes_on_in_the_order_in_which_visitors_came() -> None:
    visitors = after(*WAITS, ServerWanted("dan", "4"), ServerWanted("eve", "5"))
    assert names(visitors, "ann", "dan", "eve") == [(1, 3), (2, 3), (3, 3)]
    assert not visitors.has_room("")
    visitors.handle(QueueLeft("dan"), 1.0)
    visitors.handle(ServerEnded("1", "x"), 1.0)
    assert not visitors.has_room("")  # it is for those that wait
    assert visitors.handle(ServerWanted("fay", "6"), 1.0) == []
    assert visitors.handle(NextStep("7"), 1.0) == [StartServer("7", "ann")]
    assert visitors.handle(NextStep("8"), 1.0) == []
    assert names(visitors, "eve", "fay") == [(1, 2), (2, 2)]


def test_a_visitor_that_stops_asking_leaves_the_queue() -> None:
    visitors = after(*WAITS, ServerWanted("dan", "4"))
    visitors.handle(VisitorCame("dan"), 1.0 + LAPSE)
    assert visitors.handle(Tick(), 1.0 + LAPSE) == []
    assert visitors.place("dan") == (2, 2)
    visitors.handle(Tick(), 2.0 + LAPSE)
    assert visitors.standing("ann") is None
    assert visitors.place("dan") == (1, 1)


@pytest.mark.parametrize("comes", [True, False])
def test_a_server_whose_visitor_does_not_come_any_more_is_for_others(comes: bool) -> None:
    visitors = after(*WAITS, ServerEnded("1", "x"), NextStep("4"), ServerAnswered("4"))
    if comes:
        visitors.handle(VisitorCame("ann"), 2.0)
    assert visitors.handle(Tick(), 0.9 + LAPSE) == []
    why = "its visitor did not come when it was ready"
    commands = [ShutOut("4"), EndServer("4", why)]
    assert visitors.handle(Tick(), 2.0 + LAPSE) == ([] if comes else commands)
    assert visitors.handle(Tick(), 3.0 + LAPSE) == []


def test_an_address_has_no_more_than_it_may() -> None:
    visitors = Visitors(3, per_address=2)
    for visitor in "ab":
        assert visitors.handle(ServerWanted(visitor, visitor, address="x"), 0.0)
    assert visitors._refuses("x")
    assert visitors.handle(ServerWanted("c", "c", address="x"), 0.0) == []
    assert visitors.standing("c") is None
    assert visitors.handle(ServerWanted("a", "d", address="x"), 0.0) == []  # it has one
    assert visitors.handle(ServerWanted("d", "d", address="y"), 0.0) == [StartServer("d", "d", "", "y")]
    visitors.handle(ServerWanted("e", "e", address="y"), 0.0)
    assert visitors._refuses("y")  # one runs, and one waits
    assert not visitors._refuses("")
    visitors.handle(QueueLeft("e"), 0.0)
    assert not visitors._refuses("y")
    visitors.handle(ServerEnded("a", "x"), 0.0)
    assert not visitors._refuses("x")
    visitors.handle(ServerAdopted("f", "f", address="y"), 0.0)
    assert visitors._refuses("y")


def test_a_browser_with_two_names_is_the_one_that_has_something() -> None:
    visitors = after(ServerWanted("b", "1"))
    assert visitors.known(["a", "b", "c"]) == "b"
    assert visitors.known(["a", "c"]) == "a"
    assert visitors.known([]) is None
    visitors = after(*GONE, ServerWanted("b", "2"))
    assert visitors.known(["ann", "b"]) == "b"  # what it has counts before what it had
    assert visitors.known(["a", "ann"]) == "ann"


def test_a_place_in_the_queue_counts_less_than_a_server_whatever_the_order_of_names() -> None:
    visitors = after(*WAITS)
    assert visitors.known(["ann", "b"]) == "b"
    assert visitors.known(["b", "ann"]) == "b"
    assert visitors.known(["a", "ann"]) == "ann"


def test_the_offer_of_what_a_visitor_has_or_waits_for() -> None:
    visitors = after(ServerWanted("ann", "1", "a"), ServerWanted("bob", "2", "b"), capacity=1)
    assert [visitors.offer(each) for each in ("ann", "bob", "cy")] == ["a", "b", None]
    visitors.handle(EndAsked("1", "x"), 1.0)
    assert visitors.offer("ann") == "a"
    visitors.handle(ServerEnded("1", "x"), 1.0)
    assert visitors.offer("ann") is None


def test_the_next_in_line_is_the_one_that_the_next_step_lets_in() -> None:
    terms = OffersChanged({"a": OfferTerms(limit=1), "b": OfferTerms()})
    visitors = after(terms, *(ServerWanted(each, each, "a") for each in ("ann", "bob")), capacity=2)
    assert visitors.next_in_line is None  # of its offer there is one already
    for each in ("cy", "dan"):
        visitors.handle(ServerWanted(each, each, "b"), 1.0)
    assert visitors.next_in_line == "cy"
    assert visitors.handle(NextStep("cy"), 1.0) == [StartServer("cy", "cy", "b")]
    assert visitors.next_in_line is None  # all is full
    visitors.handle(ServerEnded("cy", "x"), 1.0)
    assert visitors.next_in_line == "dan"
    visitors.handle(QueueLeft("dan"), 1.0)
    assert visitors.next_in_line is None
    visitors.handle(ServerEnded("ann", "x"), 1.0)
    assert visitors.next_in_line == "bob"
    assert visitors.handle(NextStep("1"), 1.0) == [StartServer("1", "bob", "a")]
    assert visitors.next_in_line is None


# -- steering --------------------------------------------------------------------------------------


def test_more_capacity_lets_in_what_waits() -> None:
    visitors = after(*WAITS)
    assert visitors.handle(LimitsChanged(capacity=3), 1.0) == []
    assert visitors.limits.capacity == 3
    assert visitors.handle(NextStep("4"), 1.0) == [StartServer("4", "ann")]
    assert visitors.handle(NextStep("5"), 1.0) == []


def test_less_capacity_ends_spares_and_no_visitors_server() -> None:
    visitors = Visitors(4, 2, 9)
    for name in "pq":
        visitors.handle(NextStep(name), 0.0)
        visitors.handle(ServerAnswered(name), 0.0)
    visitors.handle(ServerWanted("ann", "1"), 0.0)
    visitors.handle(SpareChecked("p"), 0.0)
    visitors.handle(ServerWanted("bob", "2"), 0.0)
    visitors.handle(NextStep("r"), 9.0)
    visitors.handle(LimitsChanged(capacity=1), 9.0)
    assert visitors.handle(NextStep("s"), 9.0) == [EndServer("r", MANY)]
    assert visitors.handle(NextStep("s"), 9.0) == []
    assert (visitors.standing("ann"), visitors.running) == (ServerReady("p", 0.0), 3)
    assert visitors.handle(ServerWanted("cy", "3"), 9.0) == []
    assert visitors.standing("cy") == InQueue(9.0)
    for gone in "rp":
        visitors.handle(ServerEnded(gone, "x"), 9.0)
        assert visitors.handle(NextStep("t"), 99.0) == []  # one is left, and there may be one
    visitors.handle(ServerEnded("q", "x"), 9.0)
    assert visitors.handle(ServerEnded("2", "x"), 9.0) == []


def test_a_visitor_gets_no_spare_that_is_over_the_capacity() -> None:
    visitors = after(*SPARE_READY, ServerWanted("b", "1"), SpareChecked("p"), capacity=3, spares=1)
    visitors.handle(NextStep("q"), 9.0)
    visitors.handle(ServerAnswered("q"), 9.0)
    visitors.handle(LimitsChanged(capacity=1), 9.0)
    visitors.handle(ServerWanted("ann", "2"), 9.0)
    assert visitors.handle(NextStep("3"), 9.0) == [EndServer("q", MANY)]
    assert visitors.standing("ann") == InQueue(9.0)


def test_more_and_fewer_spares() -> None:
    visitors = Visitors(5, 0, 9)
    assert visitors.handle(NextStep("p"), 0.0) == []
    visitors.handle(LimitsChanged(spares=2), 0.0)
    assert [visitors.handle(NextStep(name), 0.0) for name in "pqr"] == [
        [StartServer("p", None)], [StartServer("q", None)], []
    ]  # fmt: skip
    assert visitors.limits.capacity == 5
    visitors.handle(LimitsChanged(spares=1), 0.0)
    assert visitors.handle(NextStep("r"), 0.0) == [EndServer("q", MANY)]
    assert visitors.handle(NextStep("r"), 0.0) == []


def test_no_new_visitors_are_let_in_while_it_drains() -> None:
    visitors = Visitors(3, 1, 9)
    visitors.handle(ServerWanted("ann", "1"), 0.0)
    visitors.handle(NextStep("p"), 0.0)
    visitors.handle(DrainChanged(True), 0.0)
    assert (visitors.draining, visitors.has_room("")) == (True, False)
    assert visitors.handle(NextStep("q"), 0.0) == [EndServer("p", "no new visitors are let in")]
    visitors.handle(ServerEnded("p", "x"), 0.0)
    assert visitors.handle(NextStep("q"), 99.0) == []
    assert visitors.handle(ServerWanted("bob", "2"), 0.0) == []
    assert visitors.standing("bob") is None
    assert visitors.handle(ServerAnswered("1"), 0.0) == [Admit("1", "ann")]  # it was on its way
    visitors.handle(ServerEnded("1", "x"), 0.0)
    assert visitors.handle(ServerWanted("ann", "2"), 0.0) == []
    visitors.handle(DrainChanged(False), 0.0)
    assert visitors.handle(ServerWanted("ann", "2"), 0.0) == [StartServer("2", "ann")]
    assert visitors.handle(NextStep("q"), 99.0) == [StartServer("q", None)]


def test_the_queue_stands_still_while_it_drains() -> None:
    visitors = after(*WAITS, ServerWanted("dan", "4"), DrainChanged(True))
    visitors.handle(ServerEnded("1", "x"), 2.0)
    assert visitors.handle(NextStep("5"), 2.0) == []
    assert visitors.handle(ServerWanted("dan", "6", "another"), 2.0) == []
    assert names(visitors, "ann", "dan") == [(1, 2), (2, 2)]
    visitors.handle(DrainChanged(False), 2.0)
    assert visitors.handle(NextStep("7"), 2.0) == [StartServer("7", "ann")]


# -- descriptors -----------------------------------------------------------------------------------


def test_no_more_than_fit_get_one_and_those_that_have_one_keep_it() -> None:
    visitors = after(*READY, ServerWanted("b", "2"), capacity=4)
    assert (visitors.limits.most, visitors.has_room("")) == (4, True)
    assert visitors.handle(ServersFit(1), 1.0) == []
    assert (visitors.limits.most, visitors.has_room("")) == (1, False)
    assert visitors.handle(ServerWanted("c", "3"), 1.0) == []
    assert visitors.handle(NextStep("4"), 1.0) == []
    assert visitors.standing("ann") == ServerReady("s1", 1.0)
    visitors.handle(ServersFit(3), 1.0)
    assert visitors.handle(NextStep("4"), 1.0) == [StartServer("4", "c")]
    visitors.handle(ServersFit(9), 1.0)
    assert visitors.limits.most == 4


def test_a_spare_waits_too_when_no_more_visitors_fit() -> None:
    visitors = after(*READY, NextStep("p"), ServerAnswered("p"), capacity=4, spares=1)
    visitors.handle(ServersFit(1), 1.0)
    assert visitors.handle(ServerWanted("c", "3"), 1.0) == []
    assert visitors.handle(NextStep("4"), 1.0) == []
    visitors.handle(ServersFit(2), 1.0)
    assert visitors.handle(NextStep("4"), 1.0) == [HandOut("p", "c")]


# -- ends ------------------------------------------------------------------------------------------


def test_the_age_counts_from_the_hand_out() -> None:
    visitors = Visitors(3, 1, max_age=10.0)
    visitors.handle(NextStep("p"), 0.0)
    visitors.handle(ServerAnswered("p"), 1.0)
    assert visitors.handle(Tick(), 90.0) == []  # a spare has no age
    visitors.handle(ServerWanted("ann", "s"), 100.0)
    visitors.handle(SpareChecked("p"), 100.0)
    visitors.handle(ServerAdopted("bob", "b", age=5.0), 100.0)
    visitors.handle(ServerAnswered("b"), 101.0)
    visitors.handle(ServerWanted("cy", "c"), 100.0)
    over = "its time was over"
    assert visitors.handle(Tick(), 104.9) == []
    assert visitors.handle(Tick(), 105.0) == [ShutOut("b"), EndServer("b", over)]
    assert visitors.handle(Tick(), 110.0) == [ShutOut("p"), EndServer("p", over)]
    assert visitors.handle(Tick(), 111.0) == []  # the third one starts still
    assert visitors.standing("ann") == ServerEnding("p", over)


# -- offers ----------------------------------------------------------------------------------------


def test_an_offer_has_a_limit_of_its_own() -> None:
    visitors = after(OffersChanged({"a": OfferTerms(limit=1), "b": OfferTerms()}), capacity=3)
    assert visitors.handle(ServerWanted("ann", "1", "a"), 1.0) == [StartServer("1", "ann", "a")]
    assert (visitors.has_room("a"), visitors.has_room("b")) == (False, True)
    assert visitors.handle(ServerWanted("bob", "2", "a"), 1.0) == []
    assert isinstance(visitors.standing("bob"), InQueue)
    assert visitors.handle(ServerWanted("bob", "2", "b"), 1.0) == [StartServer("2", "bob", "b")]
    visitors.handle(ServerAdopted("eve", "3", "a"), 1.0)
    assert not visitors.has_room("b")  # all three run
    visitors.handle(OffersChanged({"a": OfferTerms(limit=3)}), 1.0)
    visitors.handle(ServerEnded("2", "x"), 1.0)
    assert visitors.handle(ServerWanted("bob", "4", "a"), 1.0) == [StartServer("4", "bob", "a")]


def with_spares(**offers: OfferTerms) -> Visitors:
    visitors = Visitors(4, 0, 9)
    visitors.handle(OffersChanged(offers), 0.0)
    return visitors


def test_spares_are_of_one_offer() -> None:
    visitors = with_spares(a=OfferTerms(spares=1), b=OfferTerms(spares=1, limit=1))
    assert visitors.handle(NextStep("p"), 0.0) == [StartServer("p", None, "a")]
    assert visitors.handle(NextStep("q"), 0.0) == [StartServer("q", None, "b")]
    assert visitors.handle(NextStep("r"), 0.0) == []
    visitors.handle(ServerAnswered("q"), 0.0)
    assert visitors.handle(ServerWanted("ann", "s"), 0.0) == [StartServer("s", "ann")]  # of no offer
    assert visitors.handle(ServerWanted("bob", "t", "b"), 0.0) == [HandOut("q", "bob")]
    assert visitors.handle(NextStep("r"), 0.0) == []  # its limit is reached


def test_a_spare_gives_way_to_a_visitor_of_another_offer() -> None:
    visitors = with_spares(a=OfferTerms(spares=4), b=OfferTerms())
    for name in "pqrs":
        visitors.handle(NextStep(name), 0.0)
        visitors.handle(ServerAnswered(name), 0.0)
    assert visitors.has_room("b")
    assert visitors.handle(ServerWanted("ann", "1", "b"), 0.0) == [
        EndServer("s", "its place is needed for another offer")
    ]
    assert visitors.standing("ann") == InQueue(0.0)
    assert visitors.handle(NextStep("2"), 0.0) == []
    visitors.handle(ServerEnded("s", "x"), 0.0)
    assert visitors.handle(NextStep("2"), 0.0) == [StartServer("2", "ann", "b")]
    assert visitors.handle(NextStep("3"), 0.0) == []


def test_spares_of_before_are_for_no_visitor_once_offers_have_changed() -> None:
    visitors = with_spares(a=OfferTerms(spares=1))
    visitors.handle(NextStep("p"), 0.0)
    visitors.handle(ServerAnswered("p"), 0.0)
    visitors.handle(ServerWanted("ann", "1", "a"), 0.0)
    visitors.handle(SpareChecked("p"), 0.0)
    visitors.handle(NextStep("q"), PUT_OFF)
    changed = OffersChanged({"a": OfferTerms(spares=1)})
    assert visitors.handle(changed, 0.0) == [EndServer("q", "offers have changed")]
    assert visitors.standing("ann") == ServerReady("p", 0.0)
    assert visitors.handle(NextStep("r"), 0.0) == [StartServer("r", None, "a")]
    visitors.handle(ServerEnded("q", "x"), 0.0)
    assert visitors.running == 2


def test_what_was_chosen_is_forgotten_with_the_last_end() -> None:
    visitors = Visitors(1)
    for number in range(REMEMBERED + 5):
        visitors.handle(ServerWanted(f"v{number}", f"s{number}", "a"), 0.0)
        visitors.handle(ServerEnded(f"s{number}", "x"), 0.0)
    assert len(visitors._chosen) == REMEMBERED
    assert "v4" not in visitors._chosen
