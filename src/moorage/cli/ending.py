"""Waiting for the signals that end a command which runs until it is told to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


async def told_to_end(ready: Callable[[], None] = lambda: None) -> None:
    """Return when SIGTERM or SIGINT says so. Cancelling is safe.

    Args:
        ready: called when a signal would be noticed.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, ended.set)
    try:
        ready()
        await ended.wait()
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
