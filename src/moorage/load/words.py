"""What was measured, in words and as JSON. No I/O, no clock."""

from __future__ import annotations

from msgspec import to_builtins

from moorage.json_types import JsonObject
from moorage.load.measures import LATE, Measures, figures, groups
from moorage.load.settings import LoadSettings
from moorage.load.steps import TITLES, Step


def span(seconds: float | None) -> str:
    """Return seconds with three digits: ``3.21 ms``, ``321 ms``, ``1.32 s``, ``12.3 s``; a dash for None."""
    if seconds is None:
        return "-"
    value, unit = (seconds * 1000, "ms") if seconds < 0.9995 else (seconds, "s")
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def counted(number: int, noun: str) -> str:
    """Return ``1 visitor`` or ``3 visitors``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def verdict(measures: Measures) -> str:
    """Return in one sentence how visitors fared."""
    came, inside, troubled = len(measures.came), len(measures.let_in), len(measures.troubled)
    said = f"{counted(came, 'visitor')} came, {inside} {'was' if inside == 1 else 'were'} let in"
    if measures.queued:
        still = len(measures.queued - measures.let_in)
        said += f", {len(measures.queued)} had to queue" + (f" ({still} to the end)" if still else "")
    if measures.refused:
        said += f", {len(measures.refused)} got a refusal"
    if not troubled:
        return f"{said}. None saw an error."
    errors = len(measures.failures)
    return f"{said}. {counted(troubled, 'visitor')} saw {counted(errors, 'error')}."


def remarks(measures: Measures) -> list[str]:
    """Return what a reader has to know about the figures, in sentences."""
    said = []
    if measures.latest > LATE:
        seconds = sum(each.seconds > LATE for each in measures.lateness)
        said.append(
            f"The crowd itself was late: by up to {span(measures.latest)}, by more than {span(LATE)} in "
            f"{seconds} of {len(measures.lateness)} seconds. Times of that order are its own: "
            "let fewer visitors come, or let them come from another machine."
        )
    waited = [each for each in measures.unfinished if each.step is not Step.QUEUE]
    if waited:
        longest = max(waited, key=lambda each: each.seconds)
        said.append(
            f"Under way at the end, and not counted: {counted(len(waited), 'step')}, the longest, "
            f"{TITLES[longest.step]}, for {span(longest.seconds)}."
        )
    return said


def document(measures: Measures, settings: LoadSettings, version: str, *, interrupted: bool) -> JsonObject:
    """Return what ``--json`` writes."""
    return {
        "moorage": version,
        "settings": to_builtins(settings),
        "seconds": measures.seconds,
        "interrupted": interrupted,
        "well": measures.well,
        "visitors": {
            "came": len(measures.came),
            "let_in": len(measures.let_in),
            "queued": len(measures.queued),
            "queued_to_the_end": len(measures.queued - measures.let_in),
            "refused": len(measures.refused),
            "with_errors": len(measures.troubled),
        },
        "steps": to_builtins(figures(measures)),
        "errors": to_builtins(groups(measures.failures)),
        "refusals": sorted({each.text for each in measures.refused.values()}),
        "unfinished": to_builtins(measures.unfinished),
        "crowd_late": {
            "max": measures.latest,
            "seconds": sum(each.seconds > LATE for each in measures.lateness),
        },
        "standings": to_builtins(measures.standings),
    }
