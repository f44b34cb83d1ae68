"""What is known of the programs a notebook starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from moorage.notebooks.cache.programs import LISTERS, READERS, started
from moorage.notebooks.cache.watch import ReadWatch


@pytest.fixture
def watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "d").mkdir()
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    return ReadWatch("/private/folder", (f"{tmp_path}/",))


def seen(watched, *kinds):
    here = f"{Path.cwd()}/"
    return {text.removeprefix(here) for kind, text in watched.seen if kind in kinds}


def run(watched, words, *, environment=None, directory=None):
    started(watched, words[0], words, directory, environment)
    return seen(watched, "program")


def shell(watched, line):
    return run(watched, ["/bin/sh", "-c", line])


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["cat", "data.csv"], {"data.csv"}),
        ([b"cat", b"data.csv"], {"data.csv"}),
        (["head", "-n1", "data.csv", "none.csv"], {"data.csv", "none.csv"}),
        (["grep", "--file=data.csv", "x"], {"data.csv", "x"}),
        (["ls", "data.csv"], {"data.csv"}),
    ],
)
def test_files_that_a_command_names_are_read(watched, words, files):
    assert run(watched, words) == set()
    assert seen(watched, "read", "absent") == files


def test_a_command_names_files_from_where_it_starts(watched):
    run(watched, ["cat", "x.csv"], directory="d")
    assert seen(watched, "absent") == {"d/x.csv"}


def test_folders_are_listed_or_read_whole(watched):
    assert run(watched, ["ls", "d"]) == run(watched, ["grep", "-r", "x", "d"]) == set()
    assert (seen(watched, "listed"), seen(watched, "tree")) == ({"d"}, {"d"})
    assert run(watched, ["ls"]) == set()
    assert len(seen(watched, "listed")) == 2
    assert run(watched, ["ls", "-l"]) == {"ls -l"}


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("cat data.csv | sort > out.txt", {"data.csv"}),
        ("cat 'data.csv' && wc -l < other.csv; echo done", {"data.csv", "other.csv", "done"}),
        ("cat *.csv", {"data.csv"}),
        ("cat data.csv 2>&1", {"data.csv"}),
        ("sh -c 'cat data.csv'", {"data.csv"}),
        ("", set()),
    ],
)
def test_plain_lines_for_a_shell_are_read(watched, line, files):
    assert shell(watched, line) == set()
    assert seen(watched, "read", "absent") >= files


@pytest.mark.parametrize(
    "line",
    [
        "make",
        "cat data.csv | awk 1",
        "cat $(ls)",
        "cat `ls`",
        'cat "$NAME"',
        "cat ~/x",
        "cat {a,b}.csv",
        "cat d*/x",
        "cd d; cat data.csv",
        "X=1 cat data.csv",
        "cat 'open",
        "cat <<EOF\nx\nEOF",
        "./tool",
        "wc --files0-from=data.csv",
        "git log",
        "pip list",
    ],
)
def test_what_cannot_be_told_is_told_so(watched, line):
    assert len(shell(watched, line)) == 1


def test_a_program_of_the_project_is_not_taken_for_the_systems(watched, tmp_path, monkeypatch):
    (tmp_path / "tool").rename(tmp_path / "cat")
    assert run(watched, ["./cat", "data.csv"]) == {"cat"}
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert run(watched, ["cat", "data.csv"]) == {"cat"}


@pytest.mark.parametrize(
    "words", [["x.py"], ["-c", "1", "-I"], ["-W", "error", "-m", "x"], ["-Xdev", "-"], ["-u"]]
)
def test_python_is_watched_itself(watched, words):
    assert run(watched, [sys.executable, *words]) == set()


@pytest.mark.parametrize("words", [["-I", "x.py"], ["-uE", "x.py"], ["-X", "dev", "-S", "x.py"]])
def test_python_that_does_not_look_around_is_not(watched, words):
    assert len(run(watched, [sys.executable, *words])) == 1


def test_variables_of_its_own_are_given_the_one_that_counts(watched, monkeypatch):
    environment = {"PYTHONPATH": "lib"}
    for _ in range(2):
        assert run(watched, ["python3", "x.py"], environment=environment) == set()
    assert environment == {"PYTHONPATH": "/private/folder:lib"}
    others = {"A": "1"}
    run(watched, ["cat", "data.csv"], environment=others)
    assert others == {"A": "1"}
    monkeypatch.setenv("PYTHONPATH", "mine")
    assert run(watched, ["python3", "x.py"], environment=os.environ) == set()
    assert os.environ["PYTHONPATH"] == "/private/folder:mine"


def test_variables_that_cannot_be_given_it_are_told(watched):
    assert run(watched, ["python3", "x.py"], environment={b"A": b"1"}) == {
        "python3 with variables of its own"
    }
    watched.kept = False
    assert run(watched, ["python3", "x.py"]) == {"python3 with variables of its own"}


def test_a_linker_that_is_asked_for_a_library_reads_nothing_of_the_project(watched):
    assert run(watched, ["gcc", "-Wl,-t", "-o", "/tmp/x", "-lnone"]) == set()
    for words in (["gcc", "data.c"], ["cc", "-I.", "/tmp/x.c"], ["ld", "-Llib", "/tmp/x.o"]):
        assert words[0] in run(watched, words)


def test_no_program_is_in_two_lists():
    assert not LISTERS & READERS
