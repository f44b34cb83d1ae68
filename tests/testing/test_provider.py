"""The check of providers finds each way of being wrong, and passes moorage's own."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.discovery import (
    Around,
    KernelSpec,
    KernelType,
    Lack,
    environments,
    from_blocking,
    kernelspec_provider,
)
from moorage.discovery import running as runs
from moorage.discovery.cache import NamedPlace
from moorage.testing import check_provider

SPEC = KernelSpec("box", (sys.executable, "{connection_file}"), "Box", "box", provider="my")
BOX = KernelType(SPEC, where="here")


def mine(*types, **options):
    return from_blocking("my", lambda _: list(types), **options)


def failing(provider, **options):
    return [each.name for each in check_provider(provider, **options).checks if each.outcome == "FAIL"]


def advised(provider):
    return [each.name for each in check_provider(provider).checks if each.outcome == "advice"]


def spec(**changes):
    return KernelType(replace(SPEC, **changes))


@pytest.mark.parametrize(
    "module", [kernelspec_provider, environments, runs], ids=lambda module: module.__name__
)
def test_moorages_own_conform(module, tmp_path):
    home = {"HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path)}
    check_provider(module.provider, Around(tmp_path, home)).require()


def test_a_small_one_conforms_whether_made_or_to_be_made():
    check_provider(mine(BOX)).require()
    check_provider(lambda: mine(BOX)).require()
    check_provider(mine()).require()


@pytest.mark.parametrize(
    ("types", "says"),
    [
        ([BOX, BOX], "a name of its own"),
        ([spec(name="a\nb")], "printed"),
        ([spec(argv=())], "a command"),
        ([spec(argv=("x",))], "the connection file"),
        ([spec(place=NamedPlace("the box"))], "how addresses are agreed on"),
        ([spec(language="")], "a language"),
        ([spec(resource_dir=Path("/nowhere/at/all"))], "resource folders"),
        ([replace(BOX, stale=True)], "stale"),
        ([replace(BOX, lack=Lack("", "do"))], "says why"),
        ([spec(provider="other")], "of its own name"),
        (["box"], "a list of kernel types"),
    ],
)
def test_each_fault_is_found(types, says):
    assert any(says in each for each in failing(mine(*types)))


def test_one_that_cannot_even_be_made():
    def broken():
        raise SystemExit(3)

    verdict = check_provider(broken)
    assert not verdict.passed
    assert "SystemExit: 3" in str(verdict)


def test_one_that_takes_its_time_says_so():
    def look(_):
        asyncio.run(asyncio.sleep(0.4))
        return [BOX]

    assert advised(from_blocking("my", look)) == ["it finds them in time, or says that it is slow"]
    assert advised(from_blocking("my", look, slow=True)) == []
    check_provider(from_blocking("my", look)).require()


def test_one_that_needs_an_environment_or_a_folder():
    def look(around):
        assert around.environ["LANG"]
        return [BOX, *(BOX for _ in around.directory.iterdir())][:1]

    here = Around(Path.cwd(), {"LANG": "C"})
    assert failing(from_blocking("my", look), around=here) == [
        "an empty environment does not make it fail",
        "a folder that is gone does not make it fail",
    ]


def test_one_whose_get_disagrees():
    assert failing(mine(BOX, get=lambda _name, _around: None)) == ["each is found by its name"]
    assert failing(mine(BOX, get=lambda _name, _around: BOX)) == ["what is not there is None"]
