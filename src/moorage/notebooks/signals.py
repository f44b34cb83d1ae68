"""SIGINT and SIGTERM while a run goes on: the first stops it cleanly, the second ends this process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heard(first: Callable[[str], None], second: Callable[[], None]) -> Iterator[None]:
    """Listen to both signals for as long as the block lasts; in the main thread's loop only.

    Args:
        first: called in the loop with the name of the first signal.
        second: called when another one comes, between any two steps of this thread; afterwards this process
            ends by that signal. Should it come to no end, a third signal ends the process all the same.
    """
    loop = asyncio.get_running_loop()
    kinds = (signal.SIGINT, signal.SIGTERM)

    def again(number: int, _frame: FrameType | None) -> None:
        for kind in kinds:
            signal.signal(kind, signal.SIG_DFL)
        try:
            second()
        finally:
            signal.raise_signal(number)

    def once(number: signal.Signals) -> None:
        for kind in kinds:
            loop.remove_signal_handler(kind)
            signal.signal(kind, again)
        first(number.name)

    for kind in kinds:
        loop.add_signal_handler(kind, once, kind)
    try:
        yield
    finally:
        for kind in kinds:
            if not loop.remove_signal_handler(kind):  # one has come
                signal.signal(kind, signal.SIG_DFL)
