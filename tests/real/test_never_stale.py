"""A result from the cache is what running again would give: each thing that a run depends on, changed.

All cases are one project. It is rendered, rendered again (everything is cached), changed, and rendered once
more: what depends on a change is made again, and its neighbours that do not are cached still.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from command import Command, typed_in, write

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@dataclass(frozen=True)
class Case:
    """One folder of the project.

    Attributes:
        files: what is there; ``x.py`` or ``x.ipynb`` is the source.
        change: files written before the last run; None takes one away.
        again: whether its document must be made anew.
        fresh: whether it must be run anew, where that is not the same.
    """

    files: dict[str, str | bytes]
    change: dict[str, str | bytes | None] = field(default_factory=dict)
    again: bool = True
    fresh: bool | None = None


def cell(source: str, *tags: str, saved: str = "") -> dict[str, object]:
    outputs = [{"output_type": "stream", "name": "stdout", "text": saved}] if saved else []
    about = {"metadata": {"tags": list(tags)}, "execution_count": None}
    return {"cell_type": "code", "source": source, "outputs": outputs, **about}


def text(source: str) -> dict[str, object]:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def notebook(*cells: dict[str, object]) -> str:
    return json.dumps({"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


DOCUMENTS = {
    "image": Case({"x.ipynb": notebook(text("![a](a.png)")), "a.png": PNG}, {"a.png": PNG[:-1] + b"x"}),
    "image that comes": Case({"x.ipynb": notebook(text("![a](a.png)"))}, {"a.png": PNG}),
    "jupytext.toml": Case({"x.py": "# %%\n# %pprint\n1\n"}, {"jupytext.toml": "comment_magics = false\n"}),
    "active": Case(
        {"x.ipynb": notebook(cell("print(1)"))}, {"x.ipynb": notebook(cell("print(1)", "active-py"))}
    ),
    "saved": Case(
        {"x.ipynb": notebook(cell("1"), cell("2", "skip-execution", saved="old"))},
        {"x.ipynb": notebook(cell("1"), cell("2", "skip-execution", saved="new"))},
        fresh=False,
    ),
    "blank": Case(
        {"x.ipynb": notebook(cell("print(1)"))},
        {"x.ipynb": notebook(cell(""), cell("print(1)"), cell(" \n"))},
        fresh=False,
    ),
    "unchanged": Case({"x.ipynb": notebook(text("![b](b.png)"), cell("1")), "b.png": PNG}, again=False),
}


def lay(folder: Path, cases: dict[str, Case]) -> None:
    for name, case in cases.items():
        write(folder / name, case.files)
    write(folder, {"moorage.toml": ""})
    old = time.time() - 60
    for path in folder.rglob("*"):
        os.utime(path, (old, old))


def alter(folder: Path, cases: dict[str, Case]) -> None:
    for name, case in cases.items():
        for file, content in case.change.items():
            if content is None:
                (folder / name / file).unlink()
            else:
                write(folder / name, {file: content})


def render(command: Command, *flags: str) -> dict[str, str]:
    done = command("render", ".", "-o", "out", "--json", "-", *flags, code=0)
    told = {name.rpartition("/")[0]: status for name, status in done.statuses.items()}
    assert "not cached" not in done.stderr, done.stderr
    return told


def documents(folder: Path) -> dict[str, bytes]:
    pages = sorted((folder / "out").rglob("*.html"))
    return {path.parent.name: path.read_bytes() for path in pages}


@pytest.mark.real
def test_what_documents_are_made_of(tmp_path):
    lay(tmp_path, DOCUMENTS)
    with typed_in(tmp_path) as command:
        assert set(render(command, "--to", "html").values()) == {"ok"}
        assert set(render(command, "--to", "html").values()) == {"cached"}
        before = documents(tmp_path)
        alter(tmp_path, DOCUMENTS)
        found, after = render(command, "--to", "html"), documents(tmp_path)
        assert set(render(command, "--to", "html").values()) == {"cached"}
        command("render", ".", "-o", "forced", "--to", "html", "--no-cache", code=0)
    # A page made of stored outputs counts as cached: what it shows tells whether it is new.
    for name, case in DOCUMENTS.items():
        if name != "blank":
            assert (after[name] != before[name]) is case.again, name
        assert after[name] == (tmp_path / "forced" / name / "x.html").read_bytes(), name
    assert found["active"] == "ok"
    assert {found[name] for name, case in DOCUMENTS.items() if case.fresh is False} == {"cached"}
