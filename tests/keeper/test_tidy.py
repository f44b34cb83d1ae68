"""What is left of a keeper that has ended."""

from __future__ import annotations

import os
import sys

import pytest

from moorage.keeper import tidy
from moorage.keeper.process import record


def test_the_log_is_read_in_order_and_its_end_counts(tmp_path):
    (tmp_path / record.OLDER).write_bytes(b"one ")
    (tmp_path / record.OUTPUT).write_bytes(b"two\xff")
    assert tidy.kept_output(tmp_path) == "one two\ufffd"
    assert tidy.kept_output(tmp_path, 3) == "wo\ufffd"
    assert tidy.kept_output(tmp_path / "nowhere") == ""


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path):
    (tmp_path / "other").write_text("secret")
    (tmp_path / record.OUTPUT).symlink_to(tmp_path / "other")
    assert tidy.kept_output(tmp_path) == ""


def test_the_last_line_of_errors(tmp_path):
    assert tidy.errors_of(tmp_path) == ""
    (tmp_path / record.ERRORS).write_text("Traceback\n\nValueError: x\n")
    assert tidy.errors_of(tmp_path) == "ValueError: x"


def test_a_held_directory_is_left_alone(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    lock = record.claim(str(folder))
    assert not tidy.tidy(folder)
    assert folder.exists()
    os.close(lock)
    assert tidy.tidy(folder)
    assert not folder.exists()
    assert tidy.tidy(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_nothing_is_killed_for_a_record_of_another_boot():
    own = {"pid": os.getpid(), "start": 1, "pipe": 0}
    assert tidy.kill_left({"id": "x", "keeper": {"boot": "another"}, "charge": own}) == 0
