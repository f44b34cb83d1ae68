"""The key: this user's and no other's, or the one that the environment gives."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from moorage.errors import OutputError, UsageError
from moorage.notebooks.cache.key import VARIABLE, cache_key


def test_a_key_is_made_once_and_is_this_users_alone(tmp_path):
    folder = tmp_path / "state"
    key = cache_key({}, folder=folder)
    assert len(key) == 32
    assert cache_key({}, folder=folder) == key
    assert cache_key({}, folder=tmp_path / "other") != key
    assert [path.name for path in folder.iterdir()] == ["cache-key"]
    assert stat.S_IMODE((folder / "cache-key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_variable_gives_the_same_key_everywhere_and_must_be_a_secret(tmp_path):
    key = cache_key({VARIABLE: "x" * 16}, folder=tmp_path / "a")
    assert key == cache_key({VARIABLE: "x" * 16}, folder=tmp_path / "b")
    assert key != cache_key({VARIABLE: "y" * 16}, folder=tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="too short"):
        cache_key({VARIABLE: "secret"}, folder=tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_can_read_is_not_used(tmp_path, mode):
    cache_key({}, folder=tmp_path)
    (tmp_path / "cache-key").chmod(mode)
    with pytest.raises(OutputError, match="others can read it"):
        cache_key({}, folder=tmp_path)


@pytest.mark.parametrize("kind", ["link", "pipe", "short", "folder"])
def test_what_is_no_key_is_told_and_left_alone(tmp_path, kind):
    path = tmp_path / "cache-key"
    if kind == "link":
        cache_key({}, folder=tmp_path / "other")
        path.symlink_to(tmp_path / "other/cache-key")
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "short":
        path.write_bytes(b"")
        path.chmod(0o600)
    else:
        path.mkdir(0o700)
    with pytest.raises(OutputError, match="cannot be used"):
        cache_key({}, folder=tmp_path)
    assert os.path.lexists(path)


def test_where_none_can_be_made_it_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        cache_key({}, folder=tmp_path / "file")


def test_many_processes_at_once_agree(tmp_path):
    code = "import sys; from pathlib import Path; from moorage.notebooks.cache.key import cache_key\n"
    code += "sys.stdin.read(1); print(cache_key({}, folder=Path(sys.argv[1])).hex())"
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen([sys.executable, "-c", code, tmp_path], **options) for _ in range(4)]
    keys = {run.communicate("x")[0].strip() for run in runs}
    assert keys == {cache_key({}, folder=tmp_path).hex()}
