"""Folders of this user, reached through no link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moorage.notebooks.cache.folders import opened


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_folders_are_opened_one_below_the_other_and_closed_again(tmp_path):
    before = descriptors()
    with opened(tmp_path, "a", "b", make=True) as folder:
        os.close(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    assert (tmp_path / "a/b/x").exists()
    with pytest.raises(FileNotFoundError), opened(tmp_path, "c"):
        pass
    assert descriptors() == before


@pytest.mark.parametrize("where", ["top", "a", "b"])
def test_no_link_is_followed(tmp_path, where):
    (tmp_path / "real/a/b").mkdir(parents=True)
    link = {"top": tmp_path / "top", "a": tmp_path / "real/a2", "b": tmp_path / "real/a/b2"}[where]
    link.symlink_to(tmp_path)
    way = {"top": (link,), "a": (tmp_path / "real", "a2", "b"), "b": (tmp_path / "real", "a", "b2")}[where]
    with pytest.raises(OSError, match=r"link|directory"), opened(*way, make=True):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_the_folder_of_another_user_is_not_opened(tmp_path):
    (tmp_path / "a").mkdir()
    os.chown(tmp_path / "a", 12345, 12345)
    with pytest.raises(PermissionError, match="another user"), opened(tmp_path, "a"):
        pass
