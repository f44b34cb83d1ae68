"""A verdict reads as text, and fails a test."""

from __future__ import annotations

import pytest

from moorage.testing import Check, Verdict

GOOD, BAD = Check("it floats", passed=True), Check("it is tight", passed=False, why="water in\nthe hold")


def test_what_conforms_passes():
    verdict = Verdict("the boat", (GOOD,))
    verdict.require()
    assert str(verdict) == "the boat: conforms\n  ok      it floats"


def test_what_does_not_fails_with_its_reasons():
    verdict = Verdict("the boat", (GOOD, BAD))
    with pytest.raises(AssertionError) as caught:
        verdict.require()
    assert str(caught.value).splitlines() == [
        "the boat: does not conform",
        "  ok      it floats",
        "  FAIL    it is tight",
        "            water in",
        "            the hold",
    ]


def test_advice_and_what_was_not_looked_at_fail_no_kernel():
    advice = Check("it is red", passed=False, why="it is blue", required=False)
    skipped = Check("it is fast", passed=True, why="there is no wind", skipped=True)
    verdict = Verdict("the boat", (GOOD, advice, skipped))
    verdict.require()
    assert [each.outcome for each in verdict.checks] == ["ok", "advice", "skipped"]
    assert (
        "  advice  it is red\n            it is blue\n  skipped it is fast\n            there is no wind"
        in str(verdict)
    )
