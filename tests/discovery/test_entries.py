"""Which providers are installed, and how one is asked."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from moorage.discovery import Around, KernelSpec, KernelType, from_blocking
from moorage.discovery.entries import GROUP, OWN, ask, ask_for, in_daemon_thread, installed, load, own

BOX = Path(__file__).parent / "files/box"
ODD = Path(__file__).parent / "files/odd"
SPEC = KernelSpec("box", ("x", "{connection_file}"), "Box", "box", provider="my")
TYPE = KernelType(SPEC)
HERE = Around(Path("/"))


class Asynchronous:
    """A provider written for a loop, without ``get``."""

    name, slow = "my", False

    def __init__(self, answer):
        self.answer = answer

    async def find(self, around):
        return self.answer


class Quick(Asynchronous):
    async def get(self, name, around):
        return TYPE if name == "box" else None


@pytest.fixture
def box(monkeypatch):
    monkeypatch.syspath_prepend(str(BOX))
    monkeypatch.syspath_prepend(str(ODD))
    yield
    for name in ("box_provider", "hanging_provider", "broken_provider"):
        sys.modules.pop(name, None)


def test_moorages_own_are_there_without_a_look_at_entry_points():
    assert [own(name)().name for name in OWN] == list(OWN)
    assert own("box") is None


def test_foreign_providers_come_after_our_own_and_replace_none(box):
    found = list(installed())
    assert found[: len(OWN)] == list(OWN)
    assert {"box", "broken", "hanging", "misnamed", "spec (hanging_provider:provider)"} <= set(found)


def test_a_foreign_provider(box):
    provider = installed()["box"]()
    (found,) = ask(provider, HERE)
    assert found.name == "box/python"
    assert ask_for(provider, "python", HERE) == found


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("broken", ModuleNotFoundError, "no_such_module_anywhere"),
        ("misnamed", ValueError, "calls itself hanging"),
        ("spec (hanging_provider:provider)", ValueError, "belongs to moorage"),
    ],
)
def test_what_cannot_be_loaded_says_why(box, name, error, says):
    with pytest.raises(error, match=says):
        installed()[name]()


def test_an_entry_point_names_a_provider_or_what_makes_one(box):
    with pytest.raises(TypeError, match="is no provider"):
        load(EntryPoint("os", "os:path", GROUP))
    with pytest.raises(TypeError, match="is no provider"):
        load(EntryPoint("cwd", "os:getcwd", GROUP))


@pytest.mark.parametrize("kind", [Asynchronous, Quick, lambda answer: from_blocking("my", lambda _: answer)])
def test_asking_is_the_same_however_it_is_written(kind):
    provider = kind([TYPE])
    assert ask(provider, HERE) == (TYPE,)
    assert ask_for(provider, "box", HERE) == TYPE
    assert ask_for(provider, "bix", HERE) is None


@pytest.mark.parametrize("answer", [None, 3, "box", [3], iter([])])
def test_an_answer_of_another_kind_is_reported(answer):
    with pytest.raises(TypeError, match="not a list of kernel types"):
        ask(Asynchronous(answer), HERE)


def test_a_kernel_type_of_another_name_is_reported():
    stranger = KernelType(KernelSpec("x", (), "", "", provider="other"))
    with pytest.raises(ValueError, match="other/x"):
        ask(Asynchronous([stranger]), HERE)


def test_aside_returns_at_once_and_keeps_what_is_raised():
    future = in_daemon_thread(lambda: sys.exit(3), name="x")
    assert isinstance(future.exception(60), SystemExit)
    assert in_daemon_thread(lambda: 3, name="x").result(60) == 3
    assert not future.cancel()
