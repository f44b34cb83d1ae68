"""Kernels and their processes in /proc; with real sockets in test_running.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from command import until
from moorage.discovery.processes import began, is_private, listener, memory, named_files, private_files
from moorage.launch.berth import make


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
    berth = make()
    try:
        file = Path(berth.path) / "kernel" / "kernel.json"
        file.parent.mkdir()
        file.touch()
        assert file in set(private_files())
        assert is_private(file)
        assert not is_private(Path("/run/kernel-1.json"))
    finally:
        berth.remove()


def test_what_is_known_of_a_process():
    assert time.time() - 86400 * 365 < began(os.getpid()) <= time.time() + 1
    assert memory(os.getpid()) > 1 << 20
    nobody = 1 << 30
    assert began(nobody) is None
    assert memory(nobody) is None


def test_who_names_the_file_counts_where_nobody_is_known_to_listen():
    assert listener("ipc", "/nowhere/k", 1, 12) == 12
    assert listener("tcp", "127.0.0.1", 1, None) is None
