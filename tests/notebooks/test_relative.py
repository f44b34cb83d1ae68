from __future__ import annotations

import os
from pathlib import Path

import pytest

from moorage.notebooks.relative import RealPaths, named_from, text_below


@pytest.mark.parametrize(
    ("folder", "path", "rest"),
    [
        ("/a", "/a/b/c.py", "b/c.py"),
        ("/", "/a", "a"),
        ("/a", "/ab/c", None),
        ("/a", "/a", None),
        ("/a", "/a/../b", None),
        ("/a", "b", None),
    ],
)
def test_the_rest_of_a_path_is_its_text(folder, path, rest):
    assert text_below(folder, path) == rest
    assert text_below(Path(folder), Path(path)) == rest


def test_dots_in_a_name_lead_nowhere():
    assert text_below("/a", "/a/x..y/..z") == "x..y/..z"


def test_names_from_elsewhere_lead_out_of_the_folder(tmp_path):
    assert named_from(tmp_path / "a", tmp_path / "b/x.py") == "../b/x.py"
    assert named_from(tmp_path, tmp_path / "b/x.py") == "b/x.py"


def test_links_are_followed_as_everywhere(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("")
    (tmp_path / "to_a").symlink_to("a")
    (tmp_path / "to_file").symlink_to("to_a/b/file")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "dangling").symlink_to("gone/x")
    real = RealPaths()
    for name in (
        *("a", "to_a", "to_a/b/file", "to_file", "circle", "circle/x", "dangling", "dangling/x", "gone/y"),
        *("a/..", "to_a/../a", "a/.", "a/"),
    ):
        path = f"{tmp_path}/{name}"
        assert real(path) == os.path.realpath(path)
    assert real(tmp_path / "to_file") == str(tmp_path / "a/b/file")
    assert real("relative") == os.path.realpath("relative")
