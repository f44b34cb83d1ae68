"""Reading regular files, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading

import pytest

from moorage import regular


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("read", [regular.read_regular, regular.read_text, regular.digest_regular])
def test_what_is_no_regular_file_is_refused(read, pipe, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path, kind in ((pipe, "a pipe"), ("/dev/zero", "a device"), (tmp_path / "socket", "a socket")):
            with pytest.raises(OSError, match=f"it is {kind} and no regular file") as caught:
                read(path)
            assert caught.value.errno == errno.EINVAL


def test_a_link_to_a_pipe_is_one(pipe, tmp_path):
    (tmp_path / "link").symlink_to(pipe)
    with pytest.raises(OSError, match="a pipe"):
        regular.read_regular(tmp_path / "link")


def test_a_pipe_that_comes_between_look_and_opening_does_not_hang(pipe, tmp_path, monkeypatch):
    ordinary = tmp_path / "x"
    ordinary.write_text("x")
    seen = ordinary.stat()
    monkeypatch.setattr(regular.os, "stat", lambda _: seen)
    with pytest.raises(OSError, match="a pipe"):
        regular.read_regular(pipe)


def test_folders_and_missing_files_keep_their_errors(tmp_path):
    with pytest.raises(IsADirectoryError):
        regular.read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        regular.read_regular(tmp_path / "x")


def test_no_more_is_read_than_is_allowed(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"x" * 11)
    assert regular.read_regular(path, 11) == b"x" * 11
    with pytest.raises(OSError, match="it holds more than") as caught:
        regular.read_regular(path, 10)
    assert caught.value.errno == errno.EFBIG


def test_text_and_digest(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a\xff")
    assert regular.read_text(path) == "a\ufffd"
    assert regular.digest_regular(path) == hashlib.sha256(b"a\xff").hexdigest()


def test_reading_ends_when_there_is_no_use_for_it(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"x")
    ended = threading.Event()
    token = regular.reading_ends.set(ended)
    try:
        assert regular.digest_regular(path)
        ended.set()
        for read in (regular.read_regular, regular.digest_regular):
            with pytest.raises(OSError, match="cancelled"):
                read(path)
    finally:
        regular.reading_ends.reset(token)
