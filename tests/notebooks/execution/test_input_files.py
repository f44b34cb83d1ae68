from __future__ import annotations

import os
from pathlib import Path

import pytest

from moorage.errors import DocumentError
from moorage.notebooks.execution import input_files as module
from moorage.notebooks.execution.input_files import input_files
from moorage.notebooks.planning.settings import Configuration, NotebookSettings


def said(notebook: Path, **metadata: list[str]) -> NotebookSettings:
    """Return the settings of a notebook that says so in its metadata."""
    return Configuration(None, notebook.parent).notebook(notebook, metadata)


def test_files_a_notebook_reads(tmp_path):
    for name in ("a/1.h5", "a/b/2.h5", "c/.3.h5", "d.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    notebook = tmp_path / "c/x.py"
    settings = said(notebook, inputs=["../a", "*.h5", "gone"], needs=["../d.h5", "../gone"])
    found = input_files(notebook, settings)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a/1.h5",
        "a/b/2.h5",
        "c/.3.h5",
        "d.h5",
    ]


@pytest.mark.parametrize("pattern", ["**/**/**/**/*.h5", "**/" * 90 + "*.h5", "**/*5"])
def test_patterns_of_inputs_look_at_no_folder_twice_and_follow_links_once(tmp_path, pattern):
    for name in ("a/1.h5", "a/b/2.h5", "c/.3.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    notebook = tmp_path / "x.py"
    settings = said(notebook, inputs=[pattern])
    names = {path.name for path in input_files(notebook, settings)}
    assert names == {"1.h5", "2.h5", ".3.h5"}


def test_a_folder_of_inputs_is_followed_behind_its_links_and_in_no_circle(tmp_path):
    for name in ("data/1.h5", "elsewhere/deep/2.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "data/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/deep/back").symlink_to(tmp_path / "data")
    notebook = tmp_path / "x.py"
    settings = said(notebook, inputs=["data"])
    found = [path.relative_to(tmp_path).as_posix() for path in input_files(notebook, settings)]
    assert found == ["data/1.h5", "data/linked/deep/2.h5"]


def test_what_is_no_file_is_no_input(tmp_path):
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data/pipe")
    (tmp_path / "data/zero").symlink_to("/dev/zero")
    (tmp_path / "data/x").touch()
    notebook = tmp_path / "x.py"
    for name in ("data", "data/*"):
        settings = said(notebook, inputs=[name])
        assert input_files(notebook, settings) == (tmp_path / "data/x",)
    for name in ("data/pipe", "data/zero", "/dev/zero"):
        settings = said(notebook, inputs=[name])
        with pytest.raises(DocumentError, match="no regular file"):
            input_files(notebook, settings)


def test_too_many_inputs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_INPUTS", 3)
    for each in range(5):
        (tmp_path / f"{each}.h5").touch()
    notebook = tmp_path / "x.py"
    for name in (".", "*.h5", "**"):
        settings = said(notebook, inputs=[name])
        with pytest.raises(DocumentError, match="more than 3 files"):
            input_files(notebook, settings)
