"""Which servers there are, as they are told."""

from __future__ import annotations

import pytest

from moorage.plan.census import Census, CensusRow, row_of
from moorage.plan.visitors import Visitors
from moorage.plan.visits import (
    InQueue,
    NextStep,
    OffersChanged,
    OfferTerms,
    ServerAnswered,
    ServerEnding,
    ServerGone,
    ServerReady,
    ServerStarting,
    ServerWanted,
    SpareChecked,
    SpareTaken,
)


@pytest.mark.parametrize(
    ("standing", "row"),
    [
        (ServerReady("s", 3.0), CensusRow("s", "ready", "o", address="a", since=3.0)),
        (ServerStarting("s", 3.0), CensusRow("s", "starting", "o", address="a", since=3.0)),
        (SpareTaken("s", 3.0), CensusRow("s", "starting", "o", address="a", since=3.0)),
        (ServerEnding("s", "x"), CensusRow("s", "ending", "o", address="a")),
        (InQueue(3.0), None),
        (ServerGone("s", "x", "", answered=True), None),
    ],
)
def test_the_row_of_a_visitor(standing, row) -> None:
    assert row_of(standing, "o", "a") == row


def test_all_servers_and_the_queue() -> None:
    visitors = Visitors(4, 0, 9)
    assert visitors.census() == Census((), 0, 0, 0)
    visitors.handle(OffersChanged({"a": OfferTerms(spares=2), "b": OfferTerms(spares=1)}), 0.0)
    for name in "pqr":
        visitors.handle(NextStep(name), 0.0)
        visitors.handle(ServerAnswered(name), 0.0)
    visitors.handle(ServerWanted("ann", "s", "a", "x"), 1.0)
    visitors.handle(SpareChecked("p"), 2.0)
    visitors.handle(NextStep("t"), 9.0)
    visitors.handle(ServerWanted("bob", "u", "b"), 9.0)
    visitors.handle(ServerWanted("cy", "v", "b"), 9.0)
    visitors.handle(ServerWanted("dan", "w", "b"), 9.0)
    found = visitors.census()
    assert found.servers == (
        CensusRow("p", "ready", "a", address="x", since=2.0),
        CensusRow("r", "starting", "b", since=9.0),  # it is being handed out
        CensusRow("q", "ready", "a", spare=True),
        CensusRow("t", "ending", "a", spare=True),  # it gives way to the first in the queue
    )
    assert (found.waiting, found.spares_wanted) == (2, 3)
    assert len(found.servers) == visitors.running
