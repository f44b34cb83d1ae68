"""What the notebooks of a run share."""

from __future__ import annotations

import pytest
from msgspec import structs

from command import script, write
from contexts import planned

pytestmark = pytest.mark.anyio


async def test_paths_are_shown_as_the_user_would_write_them(tmp_path):
    write(tmp_path, {"a/x.py": script("1")})
    async with planned(tmp_path, ["a"]) as run:
        assert run.context.folders.shown(tmp_path / "out/x.ipynb") == "out/x.ipynb"
        assert run.context.folders.shown(tmp_path.parent / "y") == str(tmp_path.parent / "y")
        to_stdout = structs.replace(run.context.folders, to_stdout=True)
        assert to_stdout.shown(to_stdout.out / "x.ipynb") == "-"


async def test_an_item_runs_where_its_source_lies(tmp_path):
    write(tmp_path, {"a/b/x.py": script("1")})
    async with planned(tmp_path, ["a"]) as run:
        item = run.plan.items["b/x.py"]
        assert (item.name, item.directory) == ("b/x.py", tmp_path / "a/b")


async def test_no_secret_shows(tmp_path):
    write(tmp_path, {"x.py": script("'in the source'")})
    async with planned(tmp_path, ["x.py"], env=["TOKEN=hush"]) as run:
        assert "hush" not in repr(run.context)
        assert "in the source" not in repr(run.plan.items)
