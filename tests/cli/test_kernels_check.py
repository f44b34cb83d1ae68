"""What a check looks like in a terminal and as JSON."""

from __future__ import annotations

import json

import pytest

from moorage.cli.kernels_check import check_lines, document, summary
from moorage.cli.main import main
from moorage.cli.table import Screen
from moorage.testing import Check, Verdict

CHECKS = (
    Check("it starts", passed=True),
    Check("it stops", passed=False, why="it runs"),
    Check("it is red", passed=False, why="it is blue", required=False),
    Check("it is fast", passed=True, why="no wind", skipped=True),
)
VERDICT = Verdict("the kernel spec/made", CHECKS)


def test_lines_in_a_pipe_and_in_a_terminal():
    plain, colours = Screen(None, colour=False), Screen(60, colour=True)
    assert check_lines(CHECKS[0], plain) == ["ok       it starts"]
    assert check_lines(CHECKS[1], plain) == ["FAIL     it stops", "         it runs"]
    assert check_lines(CHECKS[1], colours)[0].startswith("\x1b[1;31mFAIL")


def test_the_verdict_in_a_sentence():
    said = summary(VERDICT, 12.3, Screen(None, colour=False)).strip()
    assert said == "the kernel spec/made does not conform: 1 ok, 1 failed, 1 advised, 1 skipped, 12 s"


def test_the_document():
    content = json.loads(document(VERDICT, 1.0))
    assert (content["conforms"], content["subject"]) == (False, "the kernel spec/made")
    assert [each["outcome"] for each in content["checks"]] == ["ok", "FAIL", "advice", "skipped"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [(["no-such-kernel"], 1, "E-NO-KERNEL"), (["python3", "--starts", "-1"], 2, "no number of starts")],
)
def test_what_cannot_be_checked(capsys, words, code, says):
    assert main(["kernels", "check", *words]) == code
    assert says in capsys.readouterr().err
