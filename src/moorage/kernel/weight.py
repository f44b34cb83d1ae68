"""How much memory a value of a message takes, about, and how deep it is nested. No I/O."""

from __future__ import annotations

from typing import Any

DEEPEST = 100
"""Values nested deeper than this are not kept: what writes and shows notebooks cannot go much deeper."""

_VALUE, _CONTAINER = 16, 64


def weigh(value: Any) -> int:
    """Return about how many bytes a value of JSON takes: its texts and, of what is nested, every part.

    Takes time in proportion to the parts, and no recursion however deep they are nested.
    """
    if isinstance(value, str):
        return len(value)
    size, level = 0, [value]
    while level:
        below: list[Any] = []
        for each in level:
            if isinstance(each, str):
                size += _VALUE + len(each)
            elif isinstance(each, dict):
                size += _CONTAINER + sum(map(len, each)) + _VALUE * len(each)
                below += each.values()
            elif isinstance(each, list):
                size += _CONTAINER
                below += each
            else:
                size += _VALUE
        level = below
    return size


def is_too_deep(value: Any) -> bool:
    """Return whether a value is nested deeper than :data:`DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += [inner for inner in each.values() if isinstance(inner, dict | list)]
            elif isinstance(each, list):
                below += [inner for inner in each if isinstance(inner, dict | list)]
        if not below:
            return False
        level = below
    return True
