"""Looking at a service again and again."""

from __future__ import annotations

import io
import re
import signal
from typing import cast

import pytest

from moorage.cli.table import Screen
from moorage.cli.temp_top import frame, top
from moorage.errors import DeadlineExceeded, UsageError
from moorage.temp.admin_client import AdminClient
from temp.test_metrics import STATS

pytestmark = pytest.mark.anyio


class Asked:
    """A service that answers so often."""

    def __init__(self, answers: int, end: Exception | None = None) -> None:
        self.left, self.end = answers, end or UsageError("no moorage temp runs")
        self.asked = 0

    def stats(self):
        self.asked += 1
        if self.asked > self.left:
            raise self.end
        return STATS

    def servers(self):
        return ()


async def topped(asked: Asked, looks: int, *, live: bool = False) -> str:
    stream = io.StringIO()
    client = cast("AdminClient", asked)
    assert await top(client, 0.01, looks, stream, live=live) == 0
    return stream.getvalue()


async def test_elsewhere_than_in_a_terminal_it_is_a_line_each_time() -> None:
    lines = (await topped(Asked(9), 3)).splitlines()
    assert len(lines) == 3
    assert all(
        re.fullmatch(r"\d\d:\d\d:\d\d visitors 2, queue 3, servers 7 of 9, .*", line) for line in lines
    )


async def test_one_look_needs_no_second() -> None:
    asked = Asked(9)
    await topped(asked, 1)
    assert asked.asked == 1


async def test_the_end_of_the_service_ends_it() -> None:
    assert (await topped(Asked(2), 0)).splitlines()[2:] == ["The service has ended"]


async def test_a_signal_ends_it() -> None:
    asked = Asked(1 << 30)
    answer = asked.stats

    def stats():
        if asked.asked == 2:
            signal.raise_signal(signal.SIGTERM)
        return answer()

    asked.stats = stats
    assert "The service" not in await topped(asked, 0)


async def test_where_there_is_none_or_it_is_silent() -> None:
    with pytest.raises(UsageError):
        await topped(Asked(0), 0)
    with pytest.raises(ExceptionGroup) as error:
        await topped(Asked(1, DeadlineExceeded("it does not answer")), 0, live=True)
    assert error.group_contains(DeadlineExceeded)


async def test_a_terminal_shows_what_was_there_before_afterwards() -> None:
    drawn = await topped(Asked(2), 2, live=True)
    assert drawn.startswith("\x1b[?1049h\x1b[?25l\x1b[H")
    assert drawn.endswith("\x1b[?25h\x1b[?1049l")
    assert drawn.count("2 visitors have a server") == 2


def test_a_frame_is_no_higher_than_the_terminal() -> None:
    screen = Screen(80, colour=False)
    assert frame(["a", "b"], screen, 2) == "\x1b[Ha\x1b[K\nb\x1b[K\x1b[J"
    assert frame(["a", "b", "c"], screen, 2) == "\x1b[Ha\x1b[K\n… 2 more\x1b[K\x1b[J"
