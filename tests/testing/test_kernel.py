"""Checking kernels: one that conforms, one that does not, one that does not start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from moorage.discovery.kernelspec import KernelSpec, native
from moorage.errors import KernelTypeNotFound
from moorage.testing import check_kernel
from moorage.testing.snippets import Snippets

pytestmark = [pytest.mark.anyio, pytest.mark.real]

ODD = Path(__file__).parent / "files" / "odd_kernel.py"


def spec(*argv):
    return KernelSpec("made", tuple(map(str, argv)), "Made", "odd")


async def test_ipykernel_conforms():
    told = []
    verdict = await check_kernel(native(), 2, on_check=told.append)
    verdict.require()
    assert tuple(told) == verdict.checks
    storm = next(each for each in verdict.checks if "while ports are stolen" in each.name)
    assert "ipc 2 times" in storm.why


async def test_an_odd_one_does_not():
    odd = spec(sys.executable, ODD, "-f", "{connection_file}")
    verdict = await check_kernel(odd, 0, snippets=Snippets("say", "fail", loops="loop"))
    outcomes = {each.name: each.outcome for each in verdict.checks}
    assert not verdict.passed
    assert outcomes["it starts and answers"] == "ok"
    assert outcomes["kernel_info_reply says protocol, implementation and language"] == "FAIL"
    assert outcomes["kernel_info_reply says how its code is highlighted and saved"] == "advice"
    assert outcomes["an error is in the reply: ename, evalue, traceback"] == "FAIL"
    assert outcomes["text beyond ASCII arrives intact"] == "FAIL"
    assert outcomes["what runs is interrupted, and the next one runs"] == "FAIL"
    assert outcomes["a result has text/plain"] == "skipped"


async def test_one_that_does_not_start_is_one_line():
    verdict = await check_kernel(
        spec(sys.executable, "-c", "print('no anchor'); exit(3)", "{connection_file}")
    )
    assert [each.name for each in verdict.checks] == ["it starts and answers"]
    assert "no anchor" in str(verdict)


async def test_a_name_nothing_has():
    with pytest.raises(KernelTypeNotFound):
        await check_kernel("no-such-kernel")
