"""Every message is tried; without a language's programs those that need none."""

from __future__ import annotations

import pytest

from moorage.kernel.launch import launch
from moorage.testing.talk import Talk, lines_of, numbers_in
from moorage.testing.trial import attempt

pytestmark = [pytest.mark.anyio, pytest.mark.real]


async def test_without_programs_the_rest_is_tried():
    async with launch("python3") as kernel:
        trials = Talk(kernel, None).trials()
        assert len({name for name, _, _ in trials}) == len(trials)
        checks = [await attempt(name, trial, required=required) for name, trial, required in trials]
    assert {each.outcome for each in checks} <= {"ok", "skipped", "advice"}
    # ipykernel 7.4 welcomes the first client only.
    assert {each.name for each in checks if each.outcome == "advice"} <= {trials[2][0]}
    skipped = [each for each in checks if each.skipped]
    assert all("no snippets in python are known here" in each.why for each in skipped)
    assert "complete_request is answered" not in {each.name for each in skipped}


def test_what_a_kernel_says_beside_what_was_printed_is_no_fault():
    notice = "The history saving thread hit an unexpected error (OperationalError('database is locked')).\n"
    assert lines_of(notice + "ahoy\r\n")[-1] == "ahoy"
    assert numbers_in("0\n1 \n" + notice + "2\n") == ["0", "1", "2"]
    assert numbers_in("0 1") == []
