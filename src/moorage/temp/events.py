"""What has happened to a service of late: the last lines of its log, kept for an operator's eyes."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from moorage.wire.temp_admin import LogEvent

KEPT = 300


class RecentEvents(logging.Handler):
    """Keeps the last :data:`KEPT` lines of a log, each with a number."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._events: deque[LogEvent] = deque(maxlen=KEPT)
        self._number = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; the last of a stack trace with it, for the rest is in the log."""
        text = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            text += f": {type(record.exc_info[1]).__name__}"
        self._number += 1
        level = record.levelname.lower()
        self._events.append(LogEvent(self._number, round(record.created, 3), level, text))

    def after(self, number: int) -> tuple[LogEvent, ...]:
        """Return those that are kept and have a greater number, oldest first."""
        return tuple(event for event in self._events if event.number > number)


@contextmanager
def recent_events(logger: logging.Logger) -> Iterator[RecentEvents]:
    """Keep the last lines of a log for as long as the block lasts.

    Args:
        logger: of the lines; at which level it tells something is left to the program.
    """
    events = RecentEvents()
    logger.addHandler(events)
    try:
        yield events
    finally:
        logger.removeHandler(events)
