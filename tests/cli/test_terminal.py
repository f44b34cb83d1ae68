"""What a terminal shows of a kernel's messages."""

from __future__ import annotations

import io
import os
import sys
import threading

import pytest

from moorage.cli import terminal as module
from moorage.cli.terminal import Terminal
from moorage.notebooks.show import sink
from moorage.notebooks.show.backlog import Backlog
from moorage.wire.messages import Header, Message


def message(msg_type, **content):
    return Message("iopub", Header("1", msg_type), content=content)


@pytest.fixture
def streams():
    return io.StringIO("Ada\n"), io.StringIO(), io.StringIO()


@pytest.fixture
def terminal(streams):
    return Terminal(*streams, quiet=False)


def test_streams_go_where_they_belong(streams, terminal):
    terminal.show(message("stream", name="stdout", text="out"))
    terminal.show(message("stream", name="stderr", text="err"))
    terminal.show(message("status", execution_state="idle"))
    assert [each.getvalue() for each in streams[1:]] == ["out", "err"]


def test_a_result_is_its_plain_text_on_a_line_of_its_own(streams, terminal):
    terminal.show(message("stream", name="stdout", text="a"))
    terminal.show(message("execute_result", data={"text/plain": "1"}))
    terminal.show(message("execute_result", data={"text/plain": ["2\n", "3"]}))
    assert streams[1].getvalue() == "a\n1\n2\n3\n"
    assert streams[2].getvalue() == ""


def test_richer_output_is_named(streams, terminal):
    data = {"text/plain": "<Figure>", "image/png": "A" * 4000, "application/json": {"a": 1}}
    terminal.show(message("display_data", data=data))
    terminal.show(message("display_data", data={"text/html": "<b>"}))
    terminal.show(message("display_data", data=None))
    assert streams[1].getvalue() == "<Figure>\n"
    said = "[also image/png (3.0 kB), application/json (8 bytes)]\n[text/html (3 bytes)]\n"
    assert streams[2].getvalue() == said


def test_a_traceback_has_no_colours_in_a_pipe(streams, terminal):
    terminal.show(message("error", ename="E", evalue="v", traceback=["\x1b[31mE\x1b[0m", "line"]))
    terminal.show(message("error", ename="E", evalue="v", traceback=[]))
    assert streams[2].getvalue() == "E\nline\nE: v\n"


def test_quiet_shows_nothing_and_asks_on_standard_error(streams):
    terminal = Terminal(*streams, quiet=True)
    terminal.show(message("stream", name="stdout", text="out"))
    assert terminal.ask("Who? ", hidden=False) == "Ada"
    assert (streams[1].getvalue(), streams[2].getvalue()) == ("", "Who? ")
    with pytest.raises(EOFError):
        terminal.ask("Who? ", hidden=True)


def test_what_the_terminal_cannot_show_is_escaped():
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Terminal(io.StringIO(), narrow, io.StringIO(), quiet=False).show(message("stream", text="é"))
    assert narrow.buffer.getvalue() == b"\\xe9"


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform == "win32", reason="pipes that are full are waited for on Unix only")
async def test_a_full_pipe_holds_nothing_up_and_gets_everything_later(monkeypatch):
    monkeypatch.setattr(module, "LAST_WORDS", 0.01)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        terminal = Terminal(io.StringIO(), stream, stream, quiet=False)
        terminal.show(message("stream", name="stdout", text="1" * 300_000))
        terminal.show(message("stream", name="stderr", text="2" * 300_000))
        await terminal.drain(hurried=True)  # gives up
        got: list[bytes] = []
        taken = threading.Thread(target=lambda: got.append(reader.read(600_000)))
        taken.start()
        await terminal.drain(hurried=False)
        taken.join()
    assert got == [b"1" * 300_000 + b"2" * 300_000]


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform == "win32", reason="pipes that are full are waited for on Unix only")
async def test_where_too_much_waits_the_stream_is_lost_and_that_is_told(monkeypatch):
    monkeypatch.setattr(sink, "Backlog", lambda: Backlog(1000, 500_000))
    told: list[None] = []
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "w") as stream:
        terminal = Terminal(io.StringIO(), stream, io.StringIO(), quiet=False)
        with terminal.needed(lambda: told.append(None)):
            for _ in range(8):
                terminal.show(message("stream", name="stdout", text="1" * 100_000))
    assert "Its reader takes nothing" in str(terminal.lost)
    assert told == [None]


@pytest.mark.anyio
async def test_a_stream_that_is_lost_is_reported_once():
    reading, writing = os.pipe()
    os.close(reading)
    told: list[None] = []
    with os.fdopen(writing, "w") as stream:
        terminal = Terminal(io.StringIO(), stream, io.StringIO(), quiet=False)
        with terminal.needed(lambda: told.append(None)):
            terminal.show(message("stream", name="stdout", text="1"))
            terminal.show(message("stream", name="stdout", text="2"))
        assert isinstance(terminal.lost, BrokenPipeError)
        await terminal.drain(hurried=False)
    assert told == [None]
