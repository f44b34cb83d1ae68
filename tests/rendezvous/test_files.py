"""Connection files."""

from __future__ import annotations

import json
import os
import threading

import pytest

from moorage.errors import LaunchError
from moorage.rendezvous.files import (
    check_directory,
    read_connection_file,
    write_again,
    write_connection_file,
)
from moorage.wire.connection import PORTS

WHOLE = {
    **{name: number for number, name in enumerate(PORTS, 5000)},
    "ip": "127.0.0.1",
    "key": "k",
    "transport": "tcp",
}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_no_other_user_may_read_it(directory, umask):
    before = os.umask(umask)
    try:
        write_connection_file(directory / "kernel.json", WHOLE)
    finally:
        os.umask(before)
    assert (directory / "kernel.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in directory.iterdir()] == ["kernel.json"]


def test_what_is_written_is_read(directory):
    write_connection_file(directory / "kernel.json", WHOLE)
    info = read_connection_file(directory / "kernel.json")
    assert (info.shell_port, info.key) == (5000, b"k")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        json.dumps(WHOLE)[:-5],
        "[]",
        "null",
        "{}",
        json.dumps({**WHOLE, "hb_port": 0}),
        json.dumps({**WHOLE, "hb_port": None}),
        json.dumps({**WHOLE, "hb_port": 99999}),
        json.dumps({**WHOLE, "transport": "pigeon"}),
        b"\xff\xfe",
    ],
)
def test_what_is_not_whole_is_not_there_yet(directory, content):
    path = directory / "kernel.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert read_connection_file(path) is None


def test_no_file_is_not_there_yet(directory):
    assert read_connection_file(directory / "kernel.json") is None


def test_what_cannot_be_written_leaves_nothing(directory):
    with pytest.raises(TypeError):
        write_connection_file(directory / "kernel.json", {"key": object()})
    assert list(directory.iterdir()) == []


def test_a_reader_never_sees_half_of_it(directory):
    path = directory / "kernel.json"
    write_connection_file(path, WHOLE)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            write_connection_file(path, {**WHOLE, "kernel_name": "x" * 10_000})

    writer = threading.Thread(target=write)
    writer.start()
    seen = [read_connection_file(path) for _ in range(300)]
    stop.set()
    writer.join()
    assert all(seen)


def test_a_file_nested_without_end_is_no_record(tmp_path):
    path = tmp_path / "kernel.json"
    path.write_text("[" * 100_000)
    assert read_connection_file(path) is None


def test_a_file_that_is_there_is_left_alone(directory):
    write_connection_file(directory / "kernel.json", WHOLE)
    write_again(directory / "kernel.json", {})
    assert read_connection_file(directory / "kernel.json") is not None
    check_directory(directory / "kernel.json")


def test_one_that_has_gone_with_its_directories_comes_back(directory):
    path = directory / "warden" / "kernel" / "kernel.json"
    write_again(path, WHOLE)
    assert read_connection_file(path) is not None
    for folder in (path.parent, path.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_one_that_cannot_raises(directory):
    path = directory / "gone" / "warden" / "kernel" / "kernel.json"
    with pytest.raises(LaunchError, match="removed meanwhile"):
        write_again(path, WHOLE)
    with pytest.raises(LaunchError, match="has gone"):
        check_directory(path)
