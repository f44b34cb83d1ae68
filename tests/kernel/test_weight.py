"""How much values take, and how deep they are."""

from __future__ import annotations

import pytest

from moorage.kernel.weight import DEEPEST, is_too_deep, weigh


def nested(levels, value=1):
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("x" * 1000, 1000, 1000),
        (None, 1, 50),
        ([1.5] * 1000, 8000, 40000),
        ([{}] * 1000, 60000, 100000),
        ({"a": "x" * 500, "b": ["x" * 500]}, 1000, 1300),
        (nested(100_000), 5_000_000, 10_000_000),
    ],
)
def test_all_parts_count(value, least, most):
    assert least <= weigh(value) <= most


def test_depth():
    assert not is_too_deep(nested(DEEPEST))
    assert is_too_deep(nested(DEEPEST + 1))
    assert is_too_deep({"a": nested(100_000)})
    assert not is_too_deep({"a": [1, "x", {}]})
