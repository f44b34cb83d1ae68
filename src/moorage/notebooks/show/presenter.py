"""Presenters: what shows a run while it goes on.

Every event of the run is handed to ``handle``, and ``tick`` is called about eight times a second.
"""

from __future__ import annotations

from typing import Protocol, Self

from moorage.notebooks.events import Event


class Presenter(Protocol):
    """Shows a run. A context manager: on leaving it puts the terminal back in order, whatever happened."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def handle(self, event: Event) -> None:
        """Show one event."""

    def tick(self, now: float) -> None:
        """Draw what changes by itself; ``now`` is in seconds since the run began."""
