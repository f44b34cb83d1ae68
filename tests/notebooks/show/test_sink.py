from __future__ import annotations

import io
import os
import threading

from moorage.notebooks.show.failed_notebook import ASCII, Symbols
from moorage.notebooks.show.sink import Sink


def test_what_the_encoding_lacks_is_escaped():
    raw = io.BytesIO()
    sink = Sink(io.TextIOWrapper(raw, encoding="ascii"))
    sink.line("地 ✓ \udc80")
    assert raw.getvalue() == b"\\u5730 \\u2713 \\udc80\n"
    assert sink.symbols == ASCII


def test_lone_surrogates_pass_utf8_escaped():
    raw = io.BytesIO()
    sink = Sink(io.TextIOWrapper(raw, encoding="utf-8"))
    sink.line("地\udc80")
    assert raw.getvalue() == "地\\udc80\n".encode()
    assert sink.symbols == Symbols()


def test_a_reader_that_left_silences_the_sink():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8", buffering=1) as stream:
        sink = Sink(stream)
        sink.line("x" * 100_000)
        sink.line("more")
        assert isinstance(sink.lost, BrokenPipeError)


def test_a_reader_that_takes_nothing_holds_nothing_up_and_gets_everything_later():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w", encoding="utf-8") as stream:
        sink = Sink(stream)
        sink.line("x" * 1_000_000)
        assert sink.behind
        taken = threading.Thread(target=lambda: got.append(reader.read(1_000_001)))
        got: list[bytes] = []
        taken.start()
        sink.drain()
        taken.join()
        assert (got, sink.behind) == ([b"x" * 1_000_000 + b"\n"], False)


def test_a_run_that_was_interrupted_waits_for_no_reader_for_ever():
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w", encoding="utf-8") as stream:
        sink = Sink(stream)
        sink.line("x" * 1_000_000)
        sink.drain(hurried=True)
        assert sink.behind


def test_lines_are_text_and_commands_are_one_line():
    stream = io.StringIO()
    sink = Sink(stream, runner=True)
    sink.line("a\n ::error::x ##[y]\x1b]0;t\x07\x1b[31mred")
    sink.command("::error::\x1b[2Ja\nb")
    assert stream.getvalue() == "a\n \\::error::x #\\#[y]\x1b[31mred\x1b[0m\n::error::a\\nb\n"


def test_a_document_goes_out_as_it_is_whatever_the_encoding():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w", encoding="ascii") as piped:
        sink = Sink(piped)
        sink.write("地\x1b".encode())
        sink.drain()
        piped.close()
        assert reader.read() == "地\x1b".encode()
