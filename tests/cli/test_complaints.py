"""Errors on stderr: a sentence each, and the exit code that goes with them."""

from __future__ import annotations

import pytest

from moorage.cli.complaints import FAILED, USAGE, complain
from moorage.errors import LaunchError, MissingExtra, UsageError


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UsageError("no", do="Go"), USAGE, "error: no (E-USAGE). Go.\n"),
        (MissingExtra("no", do="Go"), USAGE, "error: no (E-EXTRA). Go.\n"),
        (LaunchError("no", why="for a reason"), FAILED, "error: no (E-LAUNCH). for a reason.\n"),
    ],
)
def test_an_error_is_a_sentence_with_its_exit_code(capsys, error, code, says):
    assert complain(error) == code
    assert capsys.readouterr().err == says


def test_each_error_of_a_group_is_reported(capsys):
    assert complain(ExceptionGroup("both", [LaunchError("one"), UsageError("two")])) == FAILED
    told = capsys.readouterr().err
    assert "one (E-LAUNCH)" in told
    assert "two (E-USAGE)" in told
