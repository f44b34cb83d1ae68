"""The folder of what is kept between runs."""

from __future__ import annotations

import os

import pytest

from moorage.errors import OutputError
from moorage.notebooks.cache.state import make_state, state_obstacle


def test_it_ignores_itself_and_keeps_what_is_there(tmp_path):
    state = tmp_path / "a/.moorage"
    assert state_obstacle(state) == ""
    make_state(state)
    assert (state / ".gitignore").read_text() == "*\n"
    (state / ".gitignore").write_text("mine")
    make_state(state)
    assert (state / ".gitignore").read_text() == "mine"
    assert state_obstacle(state) == ""


def test_a_link_or_a_file_in_its_place_is_told(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert "a link" in state_obstacle(tmp_path / "link")
    (tmp_path / "file").touch()
    assert "no folder" in state_obstacle(tmp_path / "file")
    with pytest.raises(OutputError):
        make_state(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_the_folder_of_another_user_is_told(tmp_path):
    make_state(tmp_path / "s")
    os.chown(tmp_path / "s", 12345, 12345)
    assert "another user" in state_obstacle(tmp_path / "s")
