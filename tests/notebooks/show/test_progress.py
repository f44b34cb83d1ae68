from __future__ import annotations

import io
import subprocess
import sys

import pytest

from moorage.notebooks.show.github import GitHub
from moorage.notebooks.show.live import Live
from moorage.notebooks.show.plain import Plain, Quiet
from moorage.notebooks.show.progress import choose_presenter
from notebooks.made_up import FAILED, run


class Terminal(io.StringIO):
    def isatty(self):
        return True


XTERM = {"TERM": "xterm"}
PIPE, TERMINAL = io.StringIO, Terminal


@pytest.mark.parametrize(
    ("stdout", "stderr", "options", "environ", "kind"),
    [
        (TERMINAL, TERMINAL, {}, XTERM, Live),
        (TERMINAL, PIPE, {}, XTERM, Live),
        (PIPE, TERMINAL, {}, XTERM, Plain),
        (PIPE, PIPE, {}, {}, Plain),
        (TERMINAL, TERMINAL, {"plain": True}, XTERM, Plain),
        (TERMINAL, TERMINAL, {"quiet": True}, XTERM, Quiet),
        (TERMINAL, TERMINAL, {}, {"TERM": "dumb"}, Plain),
        (PIPE, TERMINAL, {"stdout_taken": True}, XTERM, Live),
        (PIPE, PIPE, {"stdout_taken": True}, XTERM, Plain),
        (PIPE, PIPE, {}, {"GITHUB_ACTIONS": "true"}, GitHub),
        (PIPE, PIPE, {"quiet": True}, {"GITHUB_ACTIONS": "true"}, GitHub),
    ],
)
def test_the_streams_decide(stdout, stderr, options, environ, kind):
    assert isinstance(choose_presenter(stdout=stdout(), stderr=stderr(), environ=environ, **options), kind)


def written(stdout, stderr, **options):
    environ = options.pop("environ", XTERM)
    with choose_presenter(stdout=stdout, stderr=stderr, environ=environ, **options) as presenter:
        for event in run(FAILED):
            presenter.handle(event)
            presenter.tick(1.0)
    return stdout.getvalue(), stderr.getvalue()


def test_json_has_stdout_to_itself():
    out, err = written(PIPE(), PIPE(), stdout_taken=True)
    assert out == ""
    assert "cavity" in err


def test_the_live_display_is_on_stderr():
    out, err = written(TERMINAL(), TERMINAL())
    assert out == ""
    assert "cavity" in err


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [(XTERM, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False),
     ({"TERM": "dumb", "FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False)],
)  # fmt: skip
def test_colours_follow_the_terminal_and_the_environment(environ, coloured):
    out, _ = written(TERMINAL(), TERMINAL(), plain=True, environ=environ)
    assert ("\x1b[" in out) is coloured


def test_github_logs_are_coloured_unless_told_otherwise():
    assert "\x1b[" in written(PIPE(), PIPE(), environ={"GITHUB_ACTIONS": "true"})[0]
    assert "\x1b[" not in written(PIPE(), PIPE(), environ={"GITHUB_ACTIONS": "true", "NO_COLOR": "1"})[0]


def test_plain_lines_import_nothing_heavy():
    heavy = "{'rich', 'nbformat', 'nbconvert', 'jinja2', 'zmq', 'asyncio'}"
    code = f"import moorage.notebooks.show.progress, sys; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
