"""Durations, sizes and counts as people read them."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 1e9
"""Seconds, thirty years: what is longer, or no number, was not measured."""


def _sound(seconds: float) -> float:
    return min(seconds, _LONGEST) if seconds > 0 else 0.0  # no comparison with NaN holds


def duration(seconds: float) -> str:
    """Return ``seconds`` in at most two units: ``0.4 s``, ``12.4 s``, ``2 min 05 s``, ``1 h 02 min``."""
    seconds = _sound(seconds)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clock(seconds: float) -> str:
    """Return ``seconds`` as a clock that keeps its width while it runs: ``0:12``, ``12:05``, ``1:02:05``."""
    whole = int(_sound(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def size(count: int) -> str:
    """Return a number of bytes in binary units: ``212 MiB``, ``1.4 GiB``."""
    value = float(max(count, 0))
    for unit in ("B", "KiB", "MiB"):
        if value < 999.5:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def counted(number: int, noun: str) -> str:
    """Return ``1 notebook`` or ``3 notebooks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
