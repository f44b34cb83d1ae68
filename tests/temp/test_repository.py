"""Content from repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.temp.repository import cloned, is_repository

pytestmark = pytest.mark.anyio


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    (work / "index.ipynb").write_text("{}")
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "one")
    git(work, "checkout", "-q", "-b", "other")
    (work / "other.ipynb").write_text("{}")
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "two")
    git(work, "checkout", "-q", "main")
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(tmp_path / "bare.git")], check=True)
    return tmp_path / "bare.git"


async def test_a_branch_is_cloned_without_its_history(bare: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    (into / "old").write_text("")
    assert await cloned(str(bare), "", into) == into
    assert sorted(path.name for path in into.iterdir()) == ["index.ipynb"]
    await cloned(bare.as_uri(), "other", into)
    assert sorted(path.name for path in into.iterdir()) == ["index.ipynb", "other.ipynb"]


async def test_no_hook_and_no_other_program_runs(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    template = tmp_path / "template"
    (template / "hooks").mkdir(parents=True)
    hook = template / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    (tmp_path / ".gitconfig").write_text(f"[init]\n\ttemplateDir = {template}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    await cloned(str(bare), "", tmp_path / "into")
    with pytest.raises(UsageError):
        await cloned(f"ext::touch {ran}", "", tmp_path / "into")
    assert not ran.exists()


async def test_what_git_says_is_told(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"cannot be cloned.*nowhere"):
        await cloned("file:///nowhere", "", tmp_path / "into")
    with pytest.raises(UsageError, match=r"cannot be cloned.*no-such"):
        await cloned(str(bare), "no-such", tmp_path / "into")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no git here"):
        await cloned(str(bare), "", tmp_path / "into")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://example.org/a/b", True),
        ("git@example.org:a/b.git", True),
        ("file:///a", True),
        ("ext::sh -c x", False),
        ("course", False),
        ("/nowhere", False),
    ],
)
async def test_what_a_repository_is(text: str, found: bool, bare: Path) -> None:
    assert is_repository(text) is found
    assert is_repository(str(bare))
    assert not is_repository(str(bare.parent / "work"))
