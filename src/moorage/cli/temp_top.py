"""``moorage temp top``: how a running service stands, live in a terminal, a line each time elsewhere."""
# ruff: noqa: E402 - Python has no Unix sockets on Windows

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TextIO

assert sys.platform != "win32", "Python has no Unix sockets there"

from moorage.cli.complaints import OK
from moorage.cli.ending import told_to_end
from moorage.cli.stdio import raw
from moorage.cli.table import DIM, Screen
from moorage.cli.temp_status import one_line, shown
from moorage.errors import UsageError
from moorage.tasks import every, in_thread
from moorage.temp.admin_client import AdminClient
from moorage.wire.temp_admin import ServerInfo, Stats

_OPEN, _CLOSE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The second screen, which leaves the first as it was, and the cursor (xterm's private modes)."""
_TOP, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"

Look = tuple[Stats, Sequence[ServerInfo]]
Show = Callable[[Look], None]


async def top(client: AdminClient, seconds: float, looks: int, stream: TextIO, *, live: bool) -> int:
    """Show how things stand again and again, until SIGTERM, Ctrl-C or the end of the service.

    Args:
        client: of the service.
        seconds: between two looks.
        looks: how many there are; 0 for any number.
        stream: to show it on.
        live: whether it is a terminal that lines can be drawn over on.

    Returns:
        The exit code.

    Raises:
        UsageError, DeadlineExceeded: as :class:`AdminClient` does, at the first look.
    """

    def look() -> Look:
        return client.stats(), client.servers()

    async def told() -> bool:
        await told_to_end()
        return False

    first = await in_thread(look, name="ask the service")
    async with asyncio.TaskGroup() as tasks:
        with _drawn(stream) if live else _printed(stream) as show:
            show(first)
            again = tasks.create_task(_again(look, show, seconds, looks))
            end = tasks.create_task(told())
            done, _ = await asyncio.wait([again, end], return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
            end.cancel()
    if any(task.result() for task in done):
        print("The service has ended", file=stream)
    return OK


async def _again(look: Callable[[], Look], show: Show, seconds: float, looks: int) -> bool:
    """Show how things stand after the first look; tell whether the service has ended."""
    due = asyncio.Event()
    with every(seconds, due.set):
        for _ in range(looks - 1) if looks else count():
            await due.wait()
            due.clear()
            try:
                show(await in_thread(look, name="ask the service"))
            except UsageError:
                return True
    return False


@contextmanager
def _drawn(stream: TextIO) -> Iterator[Show]:
    """Draw over the whole terminal, which shows again what was there when the block is left."""
    terminal = raw(stream)

    def show(look: Look) -> None:
        screen = Screen.of(stream)
        terminal.write(frame(shown(*look, screen), screen))
        terminal.flush()

    terminal.write(_OPEN)
    try:
        yield show
    finally:
        terminal.write(_CLOSE)
        terminal.flush()


def frame(lines: Sequence[str], screen: Screen, height: int | None = None) -> str:
    """Return what draws lines over a whole terminal, from its first row.

    Args:
        lines: none wider than the terminal.
        screen: of the terminal.
        height: rows of it; None for what the system says.
    """
    import shutil

    rows = height or shutil.get_terminal_size().lines
    if len(lines) > rows:
        more = len(lines) - rows + 1
        lines = [*lines[: rows - 1], screen.styled(f"{screen.dots} {more} more", DIM)]
    return _TOP + f"{_REST_OF_LINE}\n".join(lines) + _REST_OF_LINE + _REST_OF_SCREEN


@contextmanager
def _printed(stream: TextIO) -> Iterator[Show]:
    def show(look: Look) -> None:
        print(f"{time.strftime('%H:%M:%S')} {one_line(look[0])}", file=stream, flush=True)

    yield show
