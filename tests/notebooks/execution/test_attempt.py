from __future__ import annotations

from moorage.notebooks.events import Outcome
from moorage.notebooks.execution.attempt import Attempt


def test_what_came_of_it_tells_when_and_where_it_ran():
    outcome = Attempt(3, 1, began=2.5).timed(Outcome("x.py", None, "ok"), 4.0)
    assert (outcome.seconds, outcome.started, outcome.worker) == (1.5, 2.5, 3)
