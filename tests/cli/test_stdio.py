"""What is printed is text, whatever stands in it: no control reaches a terminal, no command a runner."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest

from command import DEADLINE, Command, until
from moorage.cli.main import main
from moorage.cli.stdio import Guarded, Lines, guarded, json_text, raw

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b2J\r\x08"
"""Sets a title, clears the screen, paints, clears in one byte, overwrites."""
HOSTILE = f"a\n::error::forged\n ##[set-env name=X]y\n##vso[task.setvariable]z{ESCAPES}"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
COMMAND = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)


class Screen(io.StringIO):
    encoding = "ascii"

    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_plain_text_and_a_terminal_colours():
    pipe, screen = io.StringIO(), Screen()
    print(HOSTILE, file=Guarded(pipe, {}))
    print(HOSTILE, file=Guarded(screen, {}))
    assert not CONTROL.search(pipe.getvalue())
    assert re.findall(r"\x1b[^m]*m", screen.getvalue()) == ["\x1b[31m", "\x1b[0m"]
    assert not CONTROL.search(screen.getvalue().replace("\x1b[31m", "").replace("\x1b[0m", ""))


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION"])
def test_a_runner_finds_no_command(variable):
    pipe = io.StringIO()
    print(HOSTILE, "\n\u2003::debug::x\n\u200b::x", file=Guarded(pipe, {variable: "true"}))
    assert not COMMAND.search(pipe.getvalue())
    assert "\\::error::forged" in pipe.getvalue()
    assert "#\\#[set-env name=X]y" in pipe.getvalue()


def test_what_the_encoding_lacks_is_escaped():
    screen = Screen()
    print("✓ \udc80", file=Guarded(screen, {}))
    assert screen.getvalue() == "\\u2713 \\udc80\n"


def test_logs_and_what_python_itself_says_are_guarded_too(capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with guarded():
        assert raw(sys.stderr) is not sys.stderr
        log = logging.getLogger("moorage.tests.alone")
        log.propagate = False
        log.addHandler(logging.lastResort or logging.StreamHandler())
        log.warning("%s", HOSTILE)
        sys.__excepthook__(ValueError, ValueError(HOSTILE), None)
    told = capsys.readouterr().err
    assert told.count("forged") == 2
    assert not CONTROL.search(told)
    assert not COMMAND.search(told)


def test_a_document_holds_no_command_and_stays_the_same():
    text = json_text({"evalue": HOSTILE + "\x7f"})
    assert json.loads(text) == {"evalue": HOSTILE + "\x7f"}
    assert not CONTROL.search(text)
    assert not COMMAND.search(text)


@pytest.mark.parametrize(
    "words",
    [
        ["kernels", "show", HOSTILE],
        ["kernels", "check", HOSTILE, "--starts", "0"],
        ["kernels", "stop", HOSTILE],
        ["kernels", "install", "--adapt", HOSTILE],
        ["run", HOSTILE, "-c", "1"],
        ["run", "--existing", HOSTILE, "-c", "1"],
        ["render", "x.ipynb", "--kernel", HOSTILE, "--no-cache"],
        ["render", HOSTILE],
        ["render", "named", "--no-cache"],
        ["render", "x.ipynb", "--param", HOSTILE],
        ["render", "x.ipynb", "--artifacts", f"/{HOSTILE}"],
        ["isolate", "--port-range", HOSTILE, "true"],
        [HOSTILE],
        [f"--{HOSTILE}"],
    ],
)
@pytest.mark.parametrize("runner", [True, False], ids=["runner", "pipe"])
def test_what_was_typed_and_found_comes_back_as_text(words, runner, tmp_path, capfd, monkeypatch):
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "x.ipynb").write_text(json.dumps(notebook))
    (tmp_path / "named").mkdir()
    forged = "a\n::error::forged\n##[x]y\x1b]0;owned\x07.ipynb"
    (tmp_path / "named" / forged).write_text("[")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true" if runner else "")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert main(words) != 0
    out, err = capfd.readouterr()
    told = out + err
    assert "forged" in told
    assert not CONTROL.search(re.sub(r"\x1b\[[0-9;]*m", "", told) if runner else told)
    if runner:
        ours = re.compile(
            r"^::(error|warning|notice) [^\n]*$|^::(group|stop-commands|\w{32})::.*$|^::endgroup::$"
        )
        commands = [line for line in told.splitlines() if COMMAND.search(line)]
        assert all(ours.search(line) for line in commands), commands
        assert not any(line.startswith("::error::forged") for line in told.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        f'[render]\n"{"k" * 3}\\u001b]0;owned\\u0007\\n::error::forged" = 1\n',
        '[render]\nto = ["\\u001b]0;owned\\u0007\\n::error::forged"]\n',
        '["forged\\u001b]0;owned\\u0007"]\nx = 1\n',
    ],
)
def test_a_configuration_s_words_come_back_as_text(text, tmp_path, capfd, monkeypatch):
    (tmp_path / "moorage.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (tmp_path / "x.ipynb").write_text("[")
    assert main(["render", "x.ipynb"]) != 0
    told = "".join(capfd.readouterr())
    assert "forged" in told
    assert not CONTROL.search(told)
    assert not re.search("^::error::forged", told, re.MULTILINE)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes that are full are waited for on Unix only")
def test_a_pipe_that_nothing_reads_holds_up_neither_a_run_nor_its_end(moorage: Command, tmp_path: Path):
    for number in range(600):
        (tmp_path / f"{number:03}-{'x' * 150}.ipynb").write_text("[")
    reading, writing = os.pipe()
    process = moorage.start("render", ".", "--plain", "--no-cache", "--report", "r.html", stdout=writing)
    os.close(writing)
    try:
        # The page is written last of all: the run has come to its end beside a full pipe.
        assert until((tmp_path / "r.html").exists, DEADLINE)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(DEADLINE) == 130
    finally:
        os.close(reading)


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="launching needs Linux")
@pytest.mark.parametrize("words", [["doctor", "--start"], ["kernels", "check", "marks", "--starts", "0"]])
def test_a_full_pipe_holds_up_no_command_that_prints_as_it_goes(moorage: Command, words: list[str]):
    folder = moorage.cwd / "share/kernels/marks"
    folder.mkdir(parents=True)
    mark = moorage.cwd / "started"
    argv = [sys.executable, "-c", f"open({str(mark)!r}, 'w'); raise SystemExit(1)", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "M", "language": "m"}))
    env = {"JUPYTER_PATH": str(moorage.cwd / "share"), "JUPYTER_DATA_DIR": "/nowhere"}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    process = moorage.start(*words, stdout=writing, env=env)
    try:
        assert until(mark.exists, DEADLINE)  # a line was printed before
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes that are full are waited for on Unix only")
def test_lines_wait_for_a_reader_and_tell_when_it_has_gone():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        lines = Lines(stream, {})
        lines.print("x" * 100_000)
        taken: list[bytes] = []
        thread = threading.Thread(target=lambda: taken.append(reader.read(100_001)))
        thread.start()
        lines.drain()
        thread.join()
        assert taken == [b"x" * 100_000 + b"\n"]
        reader.close()
        with pytest.raises(BrokenPipeError):
            lines.print("more")
