"""The command line: what goes wrong is one sentence on stderr, and the exit code says whose turn it is."""

from __future__ import annotations

import argparse
import os
import re
import sys

import pytest

from command import Command
from moorage.cli.complaints import FAILED, INTERRUPTED, OK, USAGE
from moorage.cli.main import main
from moorage.errors import KernelDied, UsageError

SENTENCE = re.compile(r"^error: .+ \(E-[A-Z-]+\)\.")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_without_a_verb_it_shows_the_help(capsys):
    code, out, err = run(capsys)
    assert (code, err) == (OK, "")
    assert "render" in out


def test_the_version_is_the_packages(moorage: Command):
    from moorage import __version__

    assert moorage("--version", code=0).stdout == f"moorage {__version__}\n"


def test_help_ends_well_and_names_every_flag(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["render", "--help"])
    assert ended.value.code == 0
    assert {"--jobs", "--retries", "--junit", "--display"} <= set(
        re.findall(r"--[a-z-]+", capsys.readouterr().out)
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rendr", "x.py"], "render"),
        (["render"], "SRC"),
        (["render", "x.py", "--retrys", "2"], "--retries"),
        (["render", "x.py", "--no-cach"], "--no-cache"),
        (["render", "x.py", "--zyx"], "moorage render --help"),
        (["render", "x.py", "-j", "many"], "-j"),
        (["render", "x.py", "-j"], "-j"),
        (["render", "x.py", "--isolate", "moon"], "none"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_2(capsys, arguments, says):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (USAGE, "")
    assert SENTENCE.match(err)
    assert says in err
    assert err.count("\n") == 1


def raising(monkeypatch, error: BaseException) -> None:
    def verb(_options: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr("moorage.cli.render.run", verb)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), USAGE),
        (KernelDied("it died", why="exit code 3"), FAILED),
        (KeyboardInterrupt(), INTERRUPTED),
        (BrokenPipeError(), FAILED),
        (ZeroDivisionError("by nought"), FAILED),
        (ExceptionGroup("several", [KernelDied("one"), KernelDied("two")]), FAILED),
        (OSError(28, "No space left on device"), FAILED),
    ],
)
def test_every_exception_becomes_an_exit_code(capsys, monkeypatch, error, code):
    raising(monkeypatch, error)
    assert run(capsys, "render", "x.py")[0] == code


def test_a_defect_of_moorage_says_so_and_where(capsys, monkeypatch):
    raising(monkeypatch, ZeroDivisionError("by nought"))
    _, _, err = run(capsys, "render", "x.py")
    assert SENTENCE.match(err)
    assert "ZeroDivisionError" in err
    assert "by nought" in err
    assert "test_main.py:" in err
    assert "Traceback" not in err


def test_errors_of_a_group_are_reported_one_by_one(capsys, monkeypatch):
    raising(monkeypatch, ExceptionGroup("several", [KernelDied("the first died"), UsageError("a second")]))
    _, _, err = run(capsys, "render", "x.py")
    assert err.splitlines() == ["error: the first died (E-DIED).", "error: a second (E-USAGE)."]


def test_a_reader_that_has_gone_is_no_error_of_the_help(moorage: Command):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = moorage.ended(moorage.start("render", "--help", stdout=closed))
    assert "Traceback" not in done.stderr


def test_names_that_are_no_text_are_reported_all_the_same(moorage: Command):
    done = moorage("render", b"caf\xe9.py".decode(errors="surrogateescape"), code=2, env={"LC_ALL": "C"})
    assert SENTENCE.match(done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="ulimit is a command of Unix shells")
@pytest.mark.parametrize("command", ["render a.py", "run python3 -c 1", "kernels check python3"])
def test_a_limit_on_open_files_that_is_too_low_is_told(moorage: Command, command: str):
    (moorage.cwd / "a.py").write_text("# %%\n1\n")
    line = f"ulimit -n 16; exec {sys.executable} -m moorage {command}"
    done = moorage.ended(moorage.launch(["/bin/sh", "-c", line]), code=2)
    assert done.stderr.startswith("error: no kernel can run here (E-USAGE). A process may open 16 files,")
    assert "Raise the limit: ulimit -n " in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "command", ["render a.py", "run python3 -c 1", "kernels list", "kernels ps", "kernels stop 1", "doctor"]
)
def test_from_a_folder_that_was_deleted_a_sentence_and_nothing_else(tmp_path, monkeypatch, capsys, command):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert main(command.split()) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: the working directory cannot be used (E-USAGE). It has been deleted.")
    assert (said.out, said.err.count("\n")) == ("", 1)
