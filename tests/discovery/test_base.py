"""What a provider says."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.discovery import Around, KernelSpec, KernelType, Lack, from_blocking
from moorage.discovery.base import named
from moorage.errors import UsageError

SPEC = KernelSpec("box", ("x", "{connection_file}"), "Box", "box", provider="my")
BOX = KernelType(SPEC)
HERE = Around(Path("/"), {"HOME": "/h", "TOKEN": "secret"})


def test_a_kernel_type_is_called_by_provider_and_name():
    assert BOX.name == "my/box"
    assert named("box", [BOX]) is BOX
    assert named("my/box", [BOX]) is None


class Box:
    """A place that is called something, and agrees on addresses in one way, or does not say."""

    def __init__(self, *ways):
        self.name = "the box"
        self._ways = ways

    def ways(self, kernel, wanted):
        if not self._ways:
            raise UsageError("not now")
        return self._ways


def test_a_kernel_type_says_where_it_runs_and_how_addresses_are_agreed_on_there():
    assert (BOX.runs_on, BOX.rendezvous()) == ("this machine", "hold")
    for ways, first in ((("handshake", "ipc"), "handshake"), ((), None)):
        there = replace(BOX, spec=replace(SPEC, place=Box(*ways)))
        assert (there.runs_on, there.rendezvous()) == ("the box", first)
    assert replace(BOX, lack=Lack("it is off", "")).rendezvous() is None


def test_logos_are_found_by_their_names(tmp_path):
    for name in ("logo-64x64.png", "logo-svg.svg", "kernel.json"):
        (tmp_path / name).touch()
    found = KernelType(KernelSpec("n", (), "", "", resource_dir=tmp_path)).logos()
    assert found == {"logo-64x64": tmp_path / "logo-64x64.png", "logo-svg": tmp_path / "logo-svg.svg"}
    assert KernelType(KernelSpec("n", (), "", "", resource_dir=tmp_path / "gone")).logos() == {}
    assert BOX.logos() == {}


def test_no_variable_is_shown():
    assert "secret" not in repr(HERE)
    assert HERE.home == Path("/h")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ä"])
def test_names_of_providers(name):
    with pytest.raises(ValueError, match="no name for a provider"):
        from_blocking(name, lambda _: [])


@pytest.mark.anyio
async def test_plain_functions_become_a_provider_that_leaves_the_loop_alone():
    threads = []

    def look(around):
        threads.append(threading.current_thread())
        return [BOX]

    provider = from_blocking("my", look, slow=True)
    assert (provider.name, provider.slow) == ("my", True)
    assert await provider.find(HERE) == [BOX]
    assert await provider.get("box", HERE) is BOX
    assert await provider.get("bix", HERE) is None
    assert threading.main_thread() not in threads


def test_the_package_has_the_names_that_a_provider_is_written_with():
    import moorage.discovery as offered

    assert all(getattr(offered, name) is not None for name in offered.__all__)
    with pytest.raises(AttributeError):
        offered.nothing  # noqa: B018 - the access is what raises
