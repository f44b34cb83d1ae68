"""A route's kept connections."""

from __future__ import annotations

from moorage.plan.proxying import PrefixRoute
from moorage.plan.targets import parse_target
from moorage.proxy.backend import Backend


class Spare:
    def __init__(self) -> None:
        self.since = 0.0
        self.closed = False

    def close(self) -> None:
        self.closed = True


def backend(spares: int = 2) -> Backend[Spare]:
    return Backend(PrefixRoute((), parse_target("http://a"), {}, 0.0), spares)


def test_the_last_used_is_taken_first() -> None:
    made, one, two = backend(), Spare(), Spare()
    made.keep(one, 1.0)
    made.keep(two, 2.0)
    assert made.take(3.0) is None
    assert made.take(2.0) is two
    assert made.take(0.0) is one
    assert made.take(0.0) is None


def test_no_more_than_so_many_are_kept() -> None:
    made, spares = backend(), [Spare() for _ in range(3)]
    for spare in spares:
        made.keep(spare, 1.0)
    assert [spare.closed for spare in spares] == [False, False, True]
    assert made.idle == 2


def test_unused_ones_are_dropped() -> None:
    made, old, new = backend(), Spare(), Spare()
    made.keep(old, 1.0)
    made.keep(new, 2.0)
    assert made.drop_idle(2.0) == 1
    assert (old.closed, new.closed, made.idle) == (True, False, 1)
    made.forget(new)
    made.forget(new)
    assert made.idle == 0


def test_closing_ends_everything_and_keeps_nothing_afterwards() -> None:
    made, kept, busy, late = backend(), Spare(), Spare(), Spare()
    made.keep(kept, 1.0)
    made.busy.add(busy)
    made.close()
    made.keep(late, 1.0)
    assert (kept.closed, busy.closed, late.closed) == (True, True, True)
    assert not made.busy
