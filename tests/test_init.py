"""The public names: lazy, and the same whatever was imported before."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import moorage
from moorage.errors import MoorageError


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = {"asyncio", "zmq", "msgspec", "nbformat", "rich", "jupytext", "platformdirs"}


def test_importing_brings_nothing_heavy():
    loaded = run("import sys, moorage; print(*sys.modules)").split()
    assert HEAVY.isdisjoint(loaded)


def test_neither_does_the_command_line():
    """``moorage --help`` imports every verb; what only carrying one out needs would be felt each time."""
    loaded = run("import sys, moorage.cli.main as cli; cli.build_parser(); print(*sys.modules)").split()
    assert (HEAVY | {"subprocess", "tempfile", "tomllib", "importlib.metadata"}).isdisjoint(loaded)


def test_all_names_are_there_and_told():
    assert set(moorage.__all__) <= set(dir(moorage))
    for name in moorage.__all__:
        assert getattr(moorage, name)
    assert moorage.MoorageError is MoorageError


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'lunch'"):
        _ = moorage.lunch


@pytest.mark.parametrize(
    "before",
    [
        "import moorage",
        "import moorage.notebooks.run, moorage.process.local",
        "from moorage.notebooks import run; from moorage.process.local import LocalLauncher; import moorage",
        "import moorage.process.base as base; import moorage",
    ],
)
def test_what_is_called_and_what_is_imported_live_under_one_name(before):
    run(
        before
        + """
import asyncio, inspect
block = moorage.launch("no-such-kernel")
assert hasattr(block, "__aenter__")
coroutine = moorage.render(["x"], out="site", jobs=8)
assert inspect.iscoroutine(coroutine)
coroutine.close()
import moorage.notebooks.run, moorage.process.local
assert callable(moorage.render) and callable(moorage.launch)
assert moorage.notebooks.run.render and moorage.process.local.LocalLauncher
"""
    )


def test_blocking_needs_no_import_of_its_own():
    assert "launch" in run("import moorage; print(moorage.blocking.launch.__name__)")


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert moorage.__version__ == version("moorage")


@pytest.mark.anyio
async def test_launch_and_render_by_their_public_names(tmp_path):
    (tmp_path / "a.py").write_text("# %%\nprint(6 * 7)\n")
    report = await moorage.render([tmp_path / "a.py"], out=str(tmp_path / "out"), jobs=1, no_cache=True)
    assert report.ok, report
    assert "42" in (tmp_path / "out" / "a.ipynb").read_text()
    async with moorage.launch("python3") as kernel:
        assert (await kernel.execute("1")).status == "ok"
