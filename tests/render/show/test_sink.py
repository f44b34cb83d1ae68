from __future__ import annotations

import io
import os

from moorage.render.show.failure import ASCII, Symbols
from moorage.render.show.sink import Sink


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
