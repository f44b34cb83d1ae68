"""One thing tried out, whatever it does."""

from __future__ import annotations

import asyncio

import pytest

from moorage.errors import LaunchError
from moorage.testing.trial import NotTried, Unmet, attempt, expect

pytestmark = pytest.mark.anyio


async def tried(error=None, **rest):
    async def trial():
        if error is not None:
            raise error

    return await attempt("it floats", trial, **rest)


async def test_what_is_so():
    check = await tried()
    assert (check.outcome, check.why) == ("ok", "")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Unmet("water"), "water"),
        (LaunchError("no", why="Tides"), "no (E-LAUNCH). Tides."),
        (KeyError("x"), "KeyError: 'x'"),
        (TimeoutError("mine"), "TimeoutError('mine')"),
    ],
)
async def test_what_is_not_says_why(error, why):
    check = await tried(error)
    assert (check.outcome, check.why) == ("FAIL", why)
    assert (await tried(error, required=False)).outcome == "advice"


async def test_what_could_not_be_looked_at():
    check = await tried(NotTried("no wind"))
    assert (check.outcome, check.why, check.passed) == ("skipped", "no wind", True)


async def test_what_never_ends():
    check = await attempt("it ends", asyncio.Event().wait, longest=0.01)
    assert (check.outcome, check.why) == ("FAIL", "it took longer than 0.01 s")


async def test_expecting():
    expect(1, "")
    with pytest.raises(Unmet, match="seen"):
        expect([], "seen")
