"""Which notebook ran when on which worker, as bars on a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from moorage.notebooks.events import GOOD
from moorage.notebooks.show.figures import duration

if TYPE_CHECKING:
    from moorage.notebooks.show.record import RunRecord

_TICKS: Final = 6
_LABELLED: Final = 7.0
"""Per cent of the width from which a bar has room for a name."""


class Bar(Struct, frozen=True):
    """One notebook, or one lost attempt at it.

    Attributes:
        left, width: per cent of the timeline.
        kind: a status, or ``retried``.
        label: what stands in the bar, if there is room.
        hint: what a pointer over it tells.
        target: anchor of the notebook's card.
    """

    lane: int
    left: float
    width: float
    kind: str
    bad: bool
    label: str
    hint: str
    target: str


class Timeline(Struct, frozen=True):
    """Bars on lanes above a scale; ``ticks`` are (per cent, words)."""

    lanes: int
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]


def timeline(record: RunRecord, anchors: dict[str, str]) -> Timeline:
    """Return the run's timeline; without bars when nothing ran.

    Args:
        record: a finished run.
        anchors: the card of each notebook on the page.
    """
    ran = [
        (done, done.started, done.worker)
        for done in record.outcomes
        if done.started is not None and done.worker is not None
    ]
    ends = [start + done.seconds for done, start, _ in ran] + [attempt.stop for attempt in record.lost]
    span = max([record.seconds, *ends, 0.001])
    bars = [
        Bar(
            lane=attempt.worker,
            left=100 * attempt.start / span,
            width=max(0.15, 100 * (attempt.stop - attempt.start) / span),
            kind="retried",
            bad=True,
            label="",
            hint=f"{attempt.source}: {duration(attempt.stop - attempt.start)}, tried again. {attempt.reason}",
            target=anchors.get(attempt.source, ""),
        )
        for attempt in record.lost
    ]
    for done, start, worker in ran:
        width = max(0.15, 100 * done.seconds / span)
        bars.append(
            Bar(
                lane=worker,
                left=100 * start / span,
                width=width,
                kind=done.status,
                bad=done.status not in GOOD,
                label=done.source.rsplit("/", 1)[-1] if width >= _LABELLED else "",
                hint=f"{done.source}: {done.status}, {duration(start)} to {duration(start + done.seconds)}",
                target=anchors.get(done.source, ""),
            )
        )
    lanes = max((bar.lane + 1 for bar in bars), default=0)
    return Timeline(lanes, tuple(bars), _ticks(span))


def _ticks(span: float) -> tuple[tuple[float, str], ...]:
    """Return round times along ``span`` seconds."""
    step = _round_step(span / _TICKS)
    count = math.floor(span / step + 1e-9)
    return tuple((100 * at * step / span, _tick_words(at * step, step)) for at in range(count + 1))


def _round_step(raw: float) -> float:
    if raw >= 60:
        minutes = next((step for step in (1, 2, 5, 10, 15, 30, 60) if step * 60 >= raw), 0)
        return minutes * 60.0 if minutes else math.ceil(raw / 3600) * 3600.0
    if raw >= 1:
        return next(step for step in (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0) if step >= raw)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= raw * 0.999)


def _tick_words(seconds: float, step: float) -> str:
    if seconds == 0:
        return "0"
    if step >= 3600:
        return f"{seconds / 3600:.0f} h"
    if step >= 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:g} s" if step >= 1 else f"{seconds:.3g} s"
