"""All routes."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.proxy.backends import Backends

PREFIX = (b"user", b"ann")


def test_a_route_is_added_changed_and_removed() -> None:
    made = Backends(spares=2)
    made.add(PREFIX, {"target": "http://a", "user": "ann"})
    first = made.table.get(PREFIX)
    assert first is not None
    made.add(PREFIX, {"target": "http://a", "user": "ann", "more": 1})
    assert made.table.get(PREFIX) is first
    assert first.route.extra == {"target": "http://a", "user": "ann", "more": 1}
    made.add(PREFIX, {"target": "http://b"})
    assert first.gone
    assert made.table.get(PREFIX) is not first
    assert made.remove(PREFIX)
    assert not made.remove(PREFIX)
    assert (made.idle(), made.drop_idle(1.0)) == (0, 0)


def test_a_target_that_is_none_changes_nothing() -> None:
    made = Backends(spares=2)
    made.add(PREFIX, {"target": "http://a"})
    with pytest.raises(UsageError):
        made.add(PREFIX, {"target": "nowhere"})
    found = made.table.get(PREFIX)
    assert found is not None
    assert not found.gone
    made.close()
    assert found.gone
