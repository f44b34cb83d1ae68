from __future__ import annotations

from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.process.environment import changed, checked


def test_variables_are_set_and_unset():
    base = {"A": "1", "B": "2"}
    assert changed(base, {"A": None, "C": "3", "D": Path("/x"), "E": None}) == {"B": "2", "C": "3", "D": "/x"}
    assert changed(base, None) == base
    assert checked({"A": None, "D": Path("/x")}) == {"A": None, "D": "/x"}
    assert base == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    "odd",
    [{"A": 1}, {"A": b"1"}, {"A": True}, {"A": "x\0y"}, {"": "x"}, {"A=B": "x"}, {1: "x"}],
)
def test_what_no_environment_can_hold_is_a_usage_error(odd):
    with pytest.raises(UsageError, match="variable"):
        changed({}, odd)


def test_a_value_is_not_told():
    with pytest.raises(UsageError) as caught:
        changed({}, {"TOKEN": b"secret"})
    assert "secret" not in str(caught.value)
