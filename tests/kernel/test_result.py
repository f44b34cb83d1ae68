"""What came of one execution: its text, its exception, its ``repr``."""

from __future__ import annotations

import pytest

from moorage.errors import CodeFailed
from moorage.kernel.result import ExecutionError, Result, error_of


def result(*outputs, status="ok", error=None, count=3):
    return Result(list(outputs), status, error, 0.1234, count, {})


def stream(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def shown(data, kind="execute_result"):
    return {"output_type": kind, "data": data, "metadata": {}}


ERROR = ExecutionError("ZeroDivisionError", "division by zero\nmore", ("\x1b[31mline\x1b[0m",))


def test_no_error_in_a_good_reply():
    assert error_of({"status": "ok"}) is None
    assert error_of({"status": "error", "ename": "E", "traceback": None}).traceback == ()


def test_the_text_is_what_a_terminal_shows():
    outputs = [
        stream("a"),
        shown({"text/plain": "1"}),
        stream("b\n", "stderr"),
        shown({"text/plain": ["2", "3"]}),
    ]
    assert result(*outputs).text == "a\n1\nb\n23\n"
    assert result(shown({"image/png": "..."}, "display_data")).text == ""
    assert result({"output_type": "error", "ename": "E", "evalue": "", "traceback": []}).text == ""


def test_a_good_result_passes_itself_on():
    good = result(stream("x"))
    assert good.raise_for_error() is good


def test_an_exception_is_raised_when_asked_for():
    with pytest.raises(
        CodeFailed, match=r"the code raised ZeroDivisionError: division by zero \(E-CODE\)"
    ) as caught:
        result(status="error", error=ERROR).raise_for_error()
    assert (caught.value.ename, caught.value.evalue) == (ERROR.ename, ERROR.evalue)
    assert caught.value.traceback == ERROR.traceback


def test_so_is_code_that_did_not_run():
    with pytest.raises(CodeFailed, match="did not run"):
        result(status="aborted").raise_for_error()


def test_its_repr_tells_what_happened_in_one_line():
    assert repr(result(stream("x"))) == "<Result [3] ok in 0.123 s: 1 output>"
    failed = result(status="error", error=ERROR, count=None)
    assert repr(failed) == "<Result error in 0.123 s: 0 outputs, ZeroDivisionError: division by zero>"
    long = repr(result(status="error", error=ExecutionError("E", "x" * 10_000, ())))
    assert len(long) < 200
