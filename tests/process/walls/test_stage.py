"""A root that is being made: what is seen in it already, and where things are."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

if sys.platform == "linux":
    from moorage.process.walls import stage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mount namespaces")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> stage.Stage:
    """Return a stage on which nothing is mounted."""
    monkeypatch.setattr(stage, "mount", lambda *_: None)
    monkeypatch.setattr(stage, "attributes", lambda *_, **__: None)
    monkeypatch.setattr(stage, "_libc", SimpleNamespace(syscall=lambda *_: 0))
    return stage.Stage(str(tmp_path), (-1, -1))


def test_what_is_shown_is_seen_with_all_below_it(made: stage.Stage, tmp_path: Path) -> None:
    made.show("/usr", os.open(tmp_path, os.O_PATH))
    assert made.seen("/usr")
    assert made.seen("/usr/lib/x")
    assert not made.seen("/usrlocal")
    made.point("/usr/home", directory=True)
    made.hide("/usr/home")
    assert not made.seen("/usr/home/a")
    made.show("/usr/home/a", os.open(tmp_path, os.O_PATH))
    assert made.seen("/usr/home/a/b")
    assert not made.seen("/usr/home/b")


def test_what_is_not_seen_needs_no_cover(made: stage.Stage, tmp_path: Path) -> None:
    made.hide("/home")
    assert not (tmp_path / "home").exists()
    assert not made.seen("/home")


def test_points_are_made_for_folders_and_for_files(made: stage.Stage, tmp_path: Path) -> None:
    assert made.point("/a/b", directory=True) == str(tmp_path / "a/b")
    made.point("/c/d", directory=False)
    assert (tmp_path / "a/b").is_dir()
    assert (tmp_path / "c/d").is_file()
    made.point("/c/d", directory=False)


def test_named_parts_alone_are_copied(made: stage.Stage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_text("text")
    (source / "other").write_text("not that")
    target = tmp_path / "target"
    target.mkdir()
    fd = os.open(source, os.O_RDONLY)
    made.fill(fd, str(target), ["deep"])
    os.close(fd)
    assert [path.name for path in target.iterdir()] == ["deep"]
    assert (target / "deep/file").read_text() == "text"
