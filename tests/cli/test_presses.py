"""Ctrl-C is handled in a loop, and by a question that holds up the loop."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import select
import signal
import termios
import threading

import pytest

from command import until
from moorage.cli.presses import presses
from moorage.cli.terminal import Terminal

pytestmark = pytest.mark.anyio


async def test_each_press_is_handled_in_the_loop():
    before = signal.getsignal(signal.SIGINT)
    done = asyncio.Event()
    handled: list[None] = []

    def press() -> None:
        handled.append(None)
        if len(handled) == 2:
            done.set()

    with presses(press):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        await asyncio.wait_for(done.wait(), 60)
    assert signal.getsignal(signal.SIGINT) is before


async def test_one_that_comes_before_the_wait_ends_it():
    handled: list[None] = []
    with presses(lambda: handled.append(None)) as found:
        signal.raise_signal(signal.SIGINT)
        assert select.select([found], [], [], 60)[0]
        found.handle_pending()
        found.handle_pending()
        assert not select.select([found], [], [], 0)[0]
    assert handled == [None]


async def test_a_question_ends_at_a_press_that_came_before_it():
    handled: list[None] = []
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "wb", buffering=0) as typed:
        terminal = Terminal(stdin, io.StringIO(), io.StringIO(), quiet=False)
        with presses(lambda: handled.append(None)) as found, terminal.needed(lambda: None, found):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                terminal.ask("Who? ", hidden=False)
            assert handled == [None]
            typed.write(b"Ada\nGrace\nJo")
            assert [terminal.ask("", hidden=False) for _ in range(2)] == ["Ada", "Grace"]
            typed.write("\u00e9\n".encode())
            assert terminal.ask("", hidden=False) == "Jo\u00e9"
            typed.close()
            with pytest.raises(EOFError):
                terminal.ask("", hidden=False)


async def test_a_question_goes_on_beside_a_full_pipe():
    out_read, out_write = os.pipe()
    in_read, in_write = os.pipe()
    shown: list[bytes] = []

    def read_then_type() -> None:
        with os.fdopen(out_read, "rb") as reader, os.fdopen(in_write, "wb") as typed:
            shown.append(reader.read(300_005))
            typed.write(b"Ada\n")

    with os.fdopen(in_read) as stdin, os.fdopen(out_write, "w") as stdout:
        terminal = Terminal(stdin, stdout, io.StringIO(), quiet=False)
        reader = threading.Thread(target=read_then_type)
        terminal.write("x" * 300_000)
        reader.start()
        assert terminal.ask("Who? ", hidden=False) == "Ada"
        reader.join()
    assert shown == [b"x" * 300_000 + b"Who? "]


def type_once_silent(primary):
    assert until(lambda: not termios.tcgetattr(primary)[3] & termios.ECHO)
    os.write(primary, b"secret\n")


async def test_a_password_is_not_shown():
    primary, secondary = pty.openpty()
    try:
        with os.fdopen(secondary) as stdin:
            stderr = io.StringIO()
            terminal = Terminal(stdin, io.StringIO(), stderr, quiet=False)
            os.write(primary, b"seen\n")
            assert terminal.ask("", hidden=False) == "seen"
            typing = threading.Thread(target=type_once_silent, args=(primary,))
            typing.start()
            assert terminal.ask("Password: ", hidden=True) == "secret"
            typing.join()
            os.write(primary, b"again\n")
            assert terminal.ask("", hidden=False) == "again"
            echoed = b""
            while b"again" not in echoed:
                echoed += os.read(primary, 4096)
        assert b"secret" not in echoed
        assert stderr.getvalue() == "Password: \n"
    finally:
        os.close(primary)
