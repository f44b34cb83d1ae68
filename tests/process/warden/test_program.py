"""What a warden that tends a server is told to start."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moorage.process.warden.program import Program, packed, raw, unpacked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="walls are Linux's")


def test_it_is_read_as_it_was_written() -> None:
    spec = {"argv": ["a", "b\udcff"], "env": {"A": "ü", "B\udcfe": ""}, "cwd": "/tmp", "walls": {}}
    file = packed(spec)
    try:
        found = unpacked(file, 7)
    finally:
        os.close(file)
    assert (found.argv, found.cwd, found.report) == ([b"a", b"b\xff"], b"/tmp", 7)
    assert found.env == {b"A": "ü".encode(), b"B\xfe": b""}
    assert raw("\udc80") == b"\x80"


def reported(cwd: bytes, execute: Callable[..., Any]) -> tuple[bytes, int]:
    """Return what a fork reports that becomes a program, and its exit code."""
    reader, writer = os.pipe()
    program = Program([b"x"], {b"A": b"b"}, cwd, writer)
    pid = os.fork()
    if pid == 0:
        program.become(execute)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        return file.read(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_step_that_failed_is_reported() -> None:
    def refused(argv: list[bytes], env: dict[bytes, bytes], report: int) -> None:
        raise FileNotFoundError(2, "not there")

    def wrong(argv: list[bytes], env: dict[bytes, bytes], report: int) -> None:
        raise ValueError

    assert reported(b"/nowhere/at/all", refused) == (b"chdir 2", 127)
    assert reported(b"/", refused) == (b"exec 2", 127)
    assert reported(b"/", wrong) == (b"exec 22", 127)


def test_it_becomes_what_it_is_told() -> None:
    def execute(argv: list[bytes], env: dict[bytes, bytes], report: int) -> None:
        os.write(report, b" ".join([*argv, *env, bytes(Path.cwd())]))
        os._exit(0)

    assert reported(b"/usr", execute) == (b"x A /usr", 0)
