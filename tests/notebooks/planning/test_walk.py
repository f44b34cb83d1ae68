from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.notebooks.planning.walk import walk


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(root, *, leave_out=lambda path: False):
    return [
        path.relative_to(root).as_posix() for path in walk(root, suffixes={".py"}, leave_out=leave_out).files
    ]


def git(root, *arguments):
    subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True)


def test_sorted_with_hidden_and_built_folders_left_out(tmp_path):
    touch(
        tmp_path, "b.py", "a/z.py", "c.txt", ".ipynb_checkpoints/b.py", "_build/b.py", "a/node_modules/b.py"
    )
    touch(
        tmp_path,
        "a/.#z.py",
        "my env/pyvenv.cfg",
        "my env/x.py",
        "conda/conda-meta/history",
        "conda/x.py",
        "a.py",
    )
    assert names(tmp_path) == ["a.py", "b.py", "a/z.py"]
    left_out = walk(tmp_path, suffixes={".py"}, leave_out=lambda path: False).left_out
    assert [path.name for path in left_out] == ["_build", "conda", "my env", "node_modules"]


def test_a_folder_named_by_the_user_may_be_called_anything(tmp_path):
    touch(tmp_path, "build/x.py")
    assert names(tmp_path / "build") == ["x.py"]


def test_what_the_caller_leaves_out(tmp_path):
    touch(tmp_path, "a/x.py", "b/x.py")
    assert names(tmp_path, leave_out=lambda path: path.name == "a") == ["b/x.py"]


def test_symlink_loops_end(tmp_path):
    touch(tmp_path, "a/x.py")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "a/self.py").symlink_to("self.py")
    (tmp_path / "a/link.py").symlink_to("x.py")
    assert names(tmp_path) == ["a/link.py", "a/x.py"]


def test_gitignored_files_do_not_count(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    touch(tmp_path, "x.py", "drafts/y.py", "tracked.py", "a/odd\nname.py", "sub/z.py", "sub/w.py")
    (tmp_path / ".gitignore").write_text("drafts/\ntracked.py\n*odd*\n")
    git(tmp_path, "add", "-f", "tracked.py")
    git(tmp_path / "sub", "init", "-q")  # a repository in a repository has rules of its own
    (tmp_path / "sub/.gitignore").write_text("w.py\n")
    monkeypatch.setenv("GIT_DIR", "/nonsense")  # as inside a hook
    assert names(tmp_path) == ["tracked.py", "x.py", "sub/z.py"]
    assert names(tmp_path / "a") == []


def test_git_is_asked_when_the_folder_is_a_symlink_into_a_repository(tmp_path):
    touch(tmp_path, "repository/demos/x.py", "repository/demos/y.py")
    git(tmp_path / "repository", "init", "-q")
    (tmp_path / "repository/.gitignore").write_text("y.py")
    (tmp_path / "link").symlink_to("repository/demos")
    assert names(tmp_path / "link") == ["x.py"]


def test_a_git_that_fails_is_said(tmp_path):
    touch(tmp_path, "x.py", ".git")
    found = walk(tmp_path, suffixes={".py"}, leave_out=lambda path: False)
    assert [path.name for path in found.files] == ["x.py"]
    assert "git does not say what it ignores" in found.notes[0]


def test_without_git_installed_it_is_said(tmp_path, monkeypatch):
    touch(tmp_path, "x.py", ".git/HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = walk(tmp_path, suffixes={".py"}, leave_out=lambda path: False)
    assert [path.name for path in found.files] == ["x.py"]
    assert "git cannot be asked" in found.notes[0]


def test_a_folder_that_cannot_be_read_is_an_error():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed").mkdir(mode=0)
        root = os.geteuid() == 0
        try:
            if root:  # root reads everything
                os.seteuid(65534)
            with pytest.raises(UsageError, match="closed cannot be read"):
                names(folder)
        finally:
            if root:
                os.seteuid(0)


def test_a_folder_that_vanishes_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"gone cannot be read \(E-USAGE\)\. No such file"):
        walk(tmp_path / "gone", suffixes={".py"}, leave_out=lambda path: False)


def test_no_program_runs_that_the_trees_own_settings_name(tmp_path):
    """What came in an archive brings its .git/config along."""
    tree = tmp_path / "tree"
    touch(tree, "a.py", "ignored.py")
    git(tree, "init", "-q")
    (tree / ".gitignore").write_text("ignored.py")
    git(tree, "add", ".")
    program, trace = tmp_path / "program", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\necho $0 >> {trace}\n")
    program.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "fsmonitor-watchman", "query-watchman"):
        (hooks / name).symlink_to(program)
    git(tree, "config", "core.fsmonitor", str(program))
    git(tree, "config", "core.hooksPath", str(hooks))
    subprocess.run(["git", "-C", tree, "check-ignore", "a.py"], check=False, capture_output=True)
    assert trace.exists(), "git itself runs it, or this shows nothing"
    trace.unlink()
    assert names(tree) == ["a.py"]
    assert not trace.exists()
