"""Where modules keep a path of their HOME, and that each server gets its own there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from moorage.temp.template.homes import find, mentions, renewed

NEW = "/home/new"


def old() -> str:
    """No name of this module may hold it, or it is found here, too."""
    return "/nonexistent" + "/old"


class Trait:
    default_value: Any = ""


@pytest.fixture
def module() -> Iterator[Any]:
    made: Any = ModuleType("keeps_homes")
    sys.modules[made.__name__] = made
    made.text, made.data, made.path = f"{old()}/a", f"{old()}/b".encode(), Path(old())
    made.table, made.other = {"user": f"{old()}/c", "number": 3}, "/etc"
    trait = Trait()
    trait.default_value = f"{old()}/d"
    values = {"__module__": made.__name__, "folder": f"{old()}/e", "trait": trait, "initial": {"x": old()}}
    made.App = type("App", (), values)
    yield made
    del sys.modules[made.__name__]


def test_each_place_is_found_and_renewed(module: Any) -> None:
    for each in find(old()):
        each.renew(old(), NEW)
    assert (module.text, module.data, module.path) == (f"{NEW}/a", f"{NEW}/b".encode(), Path(NEW))
    assert module.table == {"user": f"{NEW}/c", "number": 3}
    assert (module.App.folder, module.App.trait.default_value) == (f"{NEW}/e", f"{NEW}/d")
    assert (module.App.initial, module.other) == ({"x": NEW}, "/etc")
    assert find(old()) == []


def test_what_is_gone_meanwhile_is_left_alone(module: Any) -> None:
    found = find(old())
    del module.table["user"]
    for each in found:
        each.renew(old(), NEW)
    assert module.table == {"number": 3}


@pytest.mark.parametrize("value", [None, 3, "", b"", "/home/newer", {"a": 1}])
def test_what_is_no_path_of_it(value: object) -> None:
    assert not mentions(value, old())


def test_the_kind_of_a_path_stays() -> None:
    assert renewed(Path(old()) / "a", old(), NEW) == Path(NEW) / "a"
