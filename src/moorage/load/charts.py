"""Charts as inline SVG: shapes fill what room there is, words stand beside them in HTML. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import count

from moorage.load.measures import Figures, Sample, SeenError, Standing
from moorage.load.words import counted, span

_FINE = 4
"""Dots stand on a grid of so many places in a hundredth, which bounds how many there can be."""
_NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600, 7200, 14400, 43200)
_TICKS = 5
_MANY = 500
"""More dots than that are drawn smaller."""
_STRETCHED = 'viewBox="0 0 100 100" preserveAspectRatio="none"'


class LogScale:
    """A scale of decades.

    Args:
        values: that it has to hold, in seconds.
    """

    def __init__(self, values: Iterable[float]) -> None:
        known = [max(value, 1e-4) for value in values] or [1.0]
        self._low = math.floor(math.log10(min(known)))
        self._high = max(math.ceil(math.log10(max(known))), self._low + 1)

    def place(self, value: float) -> float:
        """Return where a value stands, in hundredths from the low end."""
        exponent = math.log10(max(value, 10**self._low))
        return 100 * (exponent - self._low) / (self._high - self._low)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where decades are, in hundredths, and what they are called."""
        return [
            (self.place(10.0**exponent), _decade(exponent)) for exponent in range(self._low, self._high + 1)
        ]


def _decade(exponent: int) -> str:
    return f"{10 ** (exponent + 3):g} ms" if exponent < 0 else f"{10**exponent:g} s"


def time_ticks(seconds: float) -> list[tuple[float, str]]:
    """Return where times are on an axis of so many seconds, in hundredths, and what they are called."""
    step = next((nice for nice in _NICE if seconds // nice <= _TICKS), _NICE[-1])
    return [(100 * at / seconds, _clock(at)) for at in range(0, int(seconds) + 1, step) if seconds > 0]


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02d}"


def dots_chart(
    title: str, samples: Sequence[Sample], failures: Sequence[SeenError], p95: float | None, seconds: float
) -> str:
    """Return a chart of one step: a dot for each time it was done, a red one on the floor for each error."""
    scale = LogScale(sample.seconds for sample in samples)
    places = {
        (_fine(100 * sample.at / seconds), _fine(100 - scale.place(sample.seconds))) for sample in samples
    }
    shapes = _dots("dots many" if len(places) > _MANY else "dots", sorted(places))
    shapes += _dots("errors", sorted({(_fine(100 * each.at / seconds), 100.0) for each in failures}))
    if p95 is not None:
        at = 100 - scale.place(p95)
        shapes = f'<path class="p95" d="M0 {at:.2f}H100"/>{shapes}'
    errors = counted(len(failures), "error")
    said = f"{counted(len(samples), 'time')}, 95 % within {span(p95)}, {errors}"
    small = f"p95 {span(p95)}" + (f", {errors}" if failures else "")
    return _plot(title, small, said, shapes, scale.ticks, time_ticks(seconds))


def visitors_chart(standings: Sequence[Standing], seconds: float) -> str:
    """Return a chart of where visitors were: in their servers, on the way, in the queue."""
    most = max((each.arriving + each.queued + each.inside for each in standings), default=0) or 1
    layers: list[tuple[str, Callable[[Standing], int]]] = [
        ("queued", lambda each: each.inside + each.arriving + each.queued),
        ("arriving", lambda each: each.inside + each.arriving),
        ("inside", lambda each: each.inside),
    ]
    shapes = "".join(
        _area(name, [(100 * each.at / seconds, 100 * top(each) / most) for each in standings])
        for name, top in layers
    )
    step = next(each for each in _round_numbers() if most / each <= _TICKS)
    ticks = [(100 * number / most, str(number)) for number in range(0, most + 1, step)]
    said = f"At most {max((each.inside for each in standings), default=0)} in their servers at once"
    return _plot("", "", said, shapes, ticks, time_ticks(seconds), kind=" wide")


def lateness_chart(lateness: Sequence[Sample], seconds: float) -> str:
    """Return a chart of how late the crowd's own loop was."""
    scale = LogScale([0.01, *(each.seconds for each in lateness)])
    line = [(100 * each.at / seconds, scale.place(each.seconds)) for each in lateness]
    said = f"At most {span(max((each.seconds for each in lateness), default=0.0))}"
    return _plot("", "", said, _area("late", line), scale.ticks, time_ticks(seconds), kind=" wide")


def spread(row: Figures, scale: LogScale) -> str:
    """Return a bar from p50 over p95 to the longest time, on a scale that several steps share."""
    if row.p50 is None or row.p95 is None or row.max is None:
        return ""
    first, second, last = (scale.place(value) for value in (row.p50, row.p95, row.max))
    shapes = (
        f'<path class="grid" d="{"".join(f"M{at:.2f} 0V100" for at, _ in scale.ticks)}"/>'
        f'<path class="whole" d="M{first:.2f} 50H{last:.2f}"/>'
        f'<path class="most" d="M{first:.2f} 50H{second:.2f}"/>'
        f'<path class="end" d="M{last:.2f} 25V75"/>'
    )
    return f'<svg class="spread" {_STRETCHED} aria-hidden="true">{shapes}</svg>'


def _round_numbers() -> Iterator[int]:
    """Yield 1, 2, 5, 10, 20, 50 and so on."""
    for exponent in count():
        yield from (digit * 10**exponent for digit in (1, 2, 5))


def _fine(place: float) -> float:
    return round(min(max(place, 0.0), 100.0) * _FINE) / _FINE


def _dots(kind: str, places: Sequence[tuple[float, float]]) -> str:
    """Return dots as one path: lines without length, with round ends."""
    if not places:
        return ""
    return f'<path class="{kind}" d="{"".join(f"M{left:g} {top:g}h0" for left, top in places)}"/>'


def _area(kind: str, points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""
    line = "L".join(f"{min(left, 100):.2f} {100 - top:.2f}" for left, top in points)
    return f'<path class="{kind}" d="M{points[0][0]:.2f} 100L{line}V100Z"/>'


def _plot(
    title: str,
    small: str,
    said: str,
    shapes: str,
    up: Sequence[tuple[float, str]],
    along: Sequence[tuple[float, str]],
    *,
    kind: str = "",
) -> str:
    grid = "".join(f"M0 {100 - at:.2f}H100" for at, _ in up)
    left = "".join(f'<span style="bottom:{at:.2f}%">{escape(word)}</span>' for at, word in up)
    below = "".join(f'<span style="left:{at:.2f}%">{escape(word)}</span>' for at, word in along)
    caption = f"<figcaption>{escape(title)} <small>{escape(small)}</small></figcaption>" if title else ""
    name = escape(f"{title}: {said}" if title else said)
    return (
        f'<figure class="plot{kind}">{caption}<div class="frame">'
        f'<div class="up" aria-hidden="true">{left}</div><svg {_STRETCHED} role="img" aria-label="{name}">'
        f'<path class="grid" d="{grid}"/>{shapes}</svg>'
        f'<div class="along" aria-hidden="true">{below}</div></div></figure>'
    )
