"""What is typed after ``moorage run``, checked."""

from __future__ import annotations

import io
import json
import sys

import pytest

from moorage.cli.main import build_parser
from moorage.cli.parser import glued
from moorage.cli.run_request import request_of
from moorage.errors import UsageError


def typed_as(*words):
    return request_of(build_parser().parse_args(glued(["run", *words])))


def test_code_of_the_command_line():
    typed = typed_as("python3", "-c", "1 + 1", "--env", "A=b=c", "--kernel-arg", "--x", "--cwd", "/tmp")
    assert (typed.kernel_type, typed.existing, typed.cells, typed.asks) == ("python3", None, ("1 + 1",), True)
    assert (typed.env, typed.kernel_args, typed.cwd) == ({"A": "b=c"}, ("--x",), "/tmp")


@pytest.mark.parametrize("code", ["-1", "--x", ""])
def test_code_may_look_like_a_flag_or_be_empty(code):
    assert typed_as("python3", "-c", code).cells == (code,)


def test_a_script_is_one_piece_and_a_notebook_its_cells(tmp_path):
    (tmp_path / "a.py").write_text("\ufeffprint(1)\n", encoding="utf-8")
    cells = [
        {"cell_type": "code", "source": ["a\n", "b"]},
        {"cell_type": "markdown", "source": "x"},
        {"cell_type": "code", "source": "c"},
    ]
    (tmp_path / "b.ipynb").write_text(json.dumps({"cells": cells}))
    assert typed_as("python3", str(tmp_path / "a.py")).cells == ("print(1)\n",)
    assert typed_as("python3", str(tmp_path / "b.ipynb")).cells == ("a\nb", "c")


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("print(1)"))
    typed = typed_as("python3", "-")
    assert (typed.cells, typed.asks) == (("print(1)",), False)


def test_a_kernel_that_runs_already():
    assert typed_as("--existing", "abc", "-c", "1").existing == "abc"
    typed = typed_as("running/abc", "-c", "1")
    assert (typed.kernel_type, typed.existing) == (None, "running/abc")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no kernel type"),
        (["python3"], "there is nothing to run"),
        ([""], "the kernel type is empty"),
        (["", "{}/a.py"], "the kernel type is empty"),
        (["python3", ""], "the name of the file is empty"),
        (["{}/a.py"], "is a file and no kernel type"),
        (["python3", "{}/none.py"], "cannot be read"),
        (["python3", "{}"], "cannot be read"),
        (["python3", "{}/a.py", "-c", "1"], "one thing can be run"),
        (["python3", "{}/a.md"], "moorage render"),
        (["python3", "{}/bad.ipynb"], "cannot be read as a notebook"),
        (["python3", "{}/odd.ipynb"], "no notebook of format 4"),
        (["python3", "-c", "1", "--env", "A"], "NAME=VALUE"),
        (["--existing", "x", "-c", "1", "--cwd", "/"], "--cwd cannot be with --existing"),
        (["--existing", "x", "-c", "1", "--env", "A=1", "--isolate", "net"], "--env and --isolate"),
    ],
)
def test_what_makes_no_sense_says_why(tmp_path, words, says):
    for name, text in (("a.py", "1"), ("a.md", "# 1"), ("bad.ipynb", "{"), ("odd.ipynb", "{}")):
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        typed_as(*(word.replace("{}", str(tmp_path)) for word in words))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        (["a.py"], ("a.py",)),
        (["a.py", "x", "2"], ("a.py", "x", "2")),
        (["a.py", "--", "--lr", "-c"], ("a.py", "--lr", "-c")),
        (["a.ipynb"], ()),
        (["a.ipynb", "x"], ("a.ipynb", "x")),
        (["-c", "1"], ()),
    ],
)
def test_what_stands_behind_the_file_is_its_arguments(tmp_path, monkeypatch, words, argv):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "a.ipynb").write_text('{"cells": []}')
    typed = typed_as("--start-timeout", "7", "python3", *words)
    assert (typed.argv, typed.start_timeout) == (argv, 7.0)
