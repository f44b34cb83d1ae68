"""Kernels and their processes in /proc; with real sockets in test_running.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command import until
from foreign_user import STRANGER, give_away
from moorage.discovery.processes import (
    began,
    files_of,
    is_kernel_of,
    is_private,
    listener,
    listener_alone,
    memory,
    named_files,
    private_files,
)
from moorage.process.warden import private_directory
from moorage.process.warden.private_directory import make


def test_files_on_command_lines_are_found_by_their_whole_path(tmp_path):
    command = [sys.executable, "-c", "input()", "--file=a.json", str(tmp_path / "b.json"), "c.txt"]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE)
    try:
        # A process that has just begun has no command line for a moment.
        assert until(lambda: tmp_path / "a.json" in named_files())
        found = named_files()
        assert found[tmp_path / "a.json"] == found[tmp_path / "b.json"] == process.pid
        assert tmp_path / "c.txt" not in found
    finally:
        process.communicate(b"\n")
    assert tmp_path / "a.json" not in named_files()


def test_files_in_private_directories():
    made = make()
    try:
        file = Path(made.path) / "kernel" / "kernel.json"
        file.parent.mkdir()
        file.touch()
        assert file in set(private_files())
        assert is_private(file)
        assert not is_private(Path("/run/kernel-1.json"))
    finally:
        made.remove()


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder that stands in for /tmp."""
    monkeypatch.setattr(private_directory, "bases", lambda: [str(tmp_path)])
    victim = tmp_path / "victim/kernel"
    victim.mkdir(parents=True)
    (victim / "kernel.json").touch()
    return tmp_path


def test_links_in_a_shared_folder_lead_nowhere(shared):
    for number in range(3000):
        (shared / f"mr-{number:08}").symlink_to(shared / "victim")
    (shared / "mr-own00000").mkdir()
    (shared / "mr-own00000/kernel").symlink_to(shared / "victim/kernel")
    (shared / "mr-own00001/kernel").mkdir(parents=True)
    (shared / "mr-own00001/kernel/kernel.json").symlink_to(shared / "victim/kernel/kernel.json")
    os.mkfifo(shared / "mr-own00001/kernel/pipe.json")
    assert list(private_files()) == []
    (shared / "mr-own00001/kernel/own.json").touch()
    assert list(private_files()) == [shared / "mr-own00001/kernel/own.json"]


def test_folders_of_another_user_are_not_looked_into(shared):
    name = "mr-aaaaaaaa/\x1b]0;hi\x07/kernel.json"
    (shared / name).parent.mkdir(parents=True)
    (shared / name).touch()
    assert list(private_files()) == [shared / name]  # as long as it is this user's
    give_away(shared / "mr-aaaaaaaa")
    assert list(private_files()) == []


def test_what_listens_is_a_files_kernel_if_its_command_names_it(tmp_path):
    file, link, other = tmp_path / "a.json", tmp_path / "l.json", tmp_path / "b.json"
    file.touch()
    other.touch()
    link.symlink_to(file)
    process = subprocess.Popen([sys.executable, "-c", "input()", str(file)], stdin=subprocess.PIPE)
    try:
        assert until(lambda: is_kernel_of(process.pid, file, "tcp"))
        assert is_kernel_of(process.pid, link, "tcp")
        assert not is_kernel_of(process.pid, other, "tcp")
        assert is_kernel_of(process.pid, other, "ipc")
        assert files_of(process.pid) == [file]
    finally:
        process.communicate(b"\n")
    assert not is_kernel_of(process.pid, file, "tcp")


def test_no_process_of_another_user_is_a_kernel_of_this_one(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    file = tmp_path / "a.json"
    command = ["/bin/sh", "-c", "echo; read line", "sh", str(file)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=STRANGER)
    try:
        process.stdout.readline()
        assert files_of(process.pid) == [file]
        assert not is_kernel_of(process.pid, file, "tcp")
    finally:
        process.communicate(b"\n")


def test_what_is_known_of_a_process():
    assert time.time() - 86400 * 365 < began(os.getpid()) <= time.time() + 1
    assert memory(os.getpid()) > 1 << 20
    unused = 1 << 30
    assert began(unused) is None
    assert memory(unused) is None


def test_the_process_that_names_the_file_counts_where_no_listener_is_known():
    assert listener("ipc", "/nowhere/k", 1, 12) == 12
    assert listener("tcp", "127.0.0.1", 1, None) is None
    assert listener_alone("ipc", "/nowhere/k", 1) is None
    assert listener_alone("tcp", "127.0.0.1", 1, 12) is None
