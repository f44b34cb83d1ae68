"""One thing tried out for a conformance check, whose every outcome becomes a line of the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from moorage.errors import MoorageError
from moorage.notebooks.show.ansi import strip
from moorage.testing.verdict import Check

LONGEST = 60.0
"""Seconds any one thing may take before it counts as one that never ends."""


class Unmet(Exception):
    """What was looked at is not as it must be; the text says what was seen instead."""


class NotTried(Exception):
    """It could not be looked at; the text says why."""


def expect(true: object, why: str) -> None:
    """Go on when something is as it must be.

    Raises:
        Unmet: it is not; ``why`` says what was seen.
    """
    if not true:
        raise Unmet(why)


async def attempt(
    name: str, trial: Callable[[], Awaitable[None]], *, required: bool = True, longest: float = LONGEST
) -> Check:
    """Try one thing.

    Args:
        name: what must be, as a clause.
        trial: returns when it is so; raises :class:`Unmet`, :class:`NotTried` or anything else.
        required: whether it must be, or is advice.
        longest: seconds it may take.

    Returns:
        What came of it. Cancelling passes.
    """
    try:
        async with asyncio.timeout(longest) as limit:
            await trial()
    except Unmet as error:
        return Check(name, passed=False, why=str(error), required=required)
    except NotTried as error:
        return Check(name, passed=True, why=str(error), required=required, skipped=True)
    except TimeoutError as error:
        why = f"it took longer than {longest:g} s" if limit.expired() else repr(error)
        return Check(name, passed=False, why=why, required=required)
    except MoorageError as error:
        return Check(name, passed=False, why=_brief(str(error)), required=required)
    except Exception as error:  # noqa: BLE001 - the boundary to what is under test: reported as its failure
        return Check(name, passed=False, why=f"{type(error).__name__}: {error}", required=required)
    return Check(name, passed=True, required=required)


def _brief(text: str, most: int = 400) -> str:
    """Return an error's text without colours and without the middle of what a kernel wrote last."""
    text = " ".join(strip(text).split())
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"
