"""What stands in for a module while others import it."""

from __future__ import annotations

import importlib
import sys

import pytest

from moorage.late_imports import late, standing_in


@pytest.fixture
def installed(tmp_path, monkeypatch):
    (tmp_path / "large_one.py").write_text("loaded = True\ndef check(a, *, b=1):\n    return [a, b]\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("large_one", None)


def test_a_function_is_there_and_loads_its_module_when_it_is_called(installed):
    with standing_in(late({"large_one": "check"})):
        from large_one import check
    assert "large_one" not in sys.modules
    assert check("x", b=2) == ["x", 2]
    assert sys.modules["large_one"].loaded


def test_what_is_called_inside_stays_loaded(installed):
    with standing_in(late({"large_one": "check"})):
        from large_one import check
    with standing_in(late({"large_one": "check"})):
        assert check(1) == [1, 1]
        assert sys.modules["large_one"].loaded
    assert sys.modules["large_one"].loaded


def test_what_is_loaded_and_what_is_not_installed_have_no_stand_in(installed):
    assert late({"no_such_module_anywhere": "f", "no_such_parent.child": "f"}) == {}
    loaded = importlib.import_module("large_one")
    assert late({"large_one": "check"}) == {}
    with standing_in({"large_one": None}):
        assert importlib.import_module("large_one") is loaded


def test_what_is_not_to_be_found_is_found_afterwards(installed):
    with standing_in({"large_one": None}), pytest.raises(ImportError):
        importlib.import_module("large_one")
    assert importlib.import_module("large_one").loaded
