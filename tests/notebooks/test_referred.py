"""Files that text refers to: found in any source, and there beside any output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorage.notebooks import referred
from moorage.notebooks.events import Note
from moorage.notebooks.run import render

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


PNG = b"\x89PNG not really"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    (tmp_path / "img").mkdir()
    (tmp_path / "docs/sub").mkdir(parents=True)
    (tmp_path / "img/top.png").write_bytes(PNG)
    (tmp_path / "docs/a b.png").write_bytes(PNG)
    (tmp_path / "docs/data.csv").write_text("1,2\n")
    (tmp_path / "docs/.env").write_text("secret")
    return tmp_path


def document(folder: Path, name: str, text: str) -> None:
    notebook = {
        "cells": [{"cell_type": "markdown", "metadata": {}, "source": text, "id": "m"}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / name).write_text(json.dumps(notebook))


async def rendered(*sources: str, **flags) -> list[str]:
    events = []
    report = await render(list(sources), emit=events.append, no_cache=True, **flags)
    assert report.ok, report.outcomes
    return [event.text for event in events if isinstance(event, Note) and event.level == "warning"]


async def test_files_lie_beside_the_output_as_they_do_beside_the_source(folder):
    document(folder, "docs/sub/one.ipynb", "![](../a%20b.png) [data](../data.csv) [next](../two.ipynb)")
    document(folder, "docs/two.ipynb", "[data](data.csv) [gone](gone.csv) [folder](sub) [page](sub/one.html)")
    assert await rendered("docs", out="site", to="ipynb,md") == []
    made = {
        path.relative_to(folder / "site").as_posix()
        for path in (folder / "site").rglob("*")
        if path.is_file()
    }
    documents = {"two.ipynb", "two.md", "sub/one.ipynb", "sub/one.md"}
    assert made == documents | {"a b.png", "data.csv", ".moorage-files"}
    assert (folder / "site/a b.png").read_bytes() == PNG
    assert json.loads((folder / "site/two.ipynb").read_text())["cells"][0]["source"]

    (folder / "docs/data.csv").write_text("3,4\n")
    assert await rendered("docs", out="site", to="ipynb,md") == []
    assert (folder / "site/data.csv").read_text() == "3,4\n"
    (folder / "site/data.csv").write_text("by hand")
    (told,) = await rendered("docs/two.ipynb", out="site", to="md")
    assert "link data.csv is not carried along" in told
    assert (folder / "site/data.csv").read_text() == "by hand"


async def test_pages_hold_their_images_and_have_their_downloads_beside_them(folder):
    document(folder, "docs/one.ipynb", "![](a%20b.png) [data](data.csv)")
    assert await rendered("docs", out="site", to="html", bundle="all.zip") == []
    assert {path.name for path in (folder / "site").iterdir()} == {"one.html", "data.csv", ".moorage-files"}
    assert (folder / "all.zip").read_bytes().count(b"data.csv") == 2


async def test_what_cannot_be_carried_is_told_in_one_line(folder, monkeypatch):
    document(folder, "docs/one.ipynb", "![](../img/top.png) [](.env)")
    (told,) = await rendered("docs", to="md", out="a/b")
    assert told == (
        "the file of the link ../img/top.png is not carried along: it lies outside of docs, so name a folder "
        "further up; nor are 1 more"
    )
    assert await rendered("docs/one.ipynb", to="md", out="site") == [
        "the file of the link .env is not carried along: hidden files are not"
    ]
    document(folder, "docs/one.ipynb", "[](.env) [](link.txt) [](/etc/passwd)")
    (folder / "docs/link.txt").symlink_to("/etc/passwd")
    (told,) = await rendered("docs", to="md")
    assert told.endswith("hidden files are not; nor are 1 more")
    monkeypatch.setattr(referred, "LARGEST", 2)
    document(folder, "docs/one.ipynb", "[](data.csv)")
    (told,) = await rendered("docs", to="md")
    assert "it is larger than" in told
    assert not any(path.name in {"data.csv", ".env", "link.txt"} for path in (folder / "rendered").rglob("*"))


async def test_beside_the_sources_nothing_is_carried(folder):
    document(folder, "docs/one.ipynb", "[data](data.csv) [](.env)")
    assert await rendered("docs", out="docs", to="md") == []
