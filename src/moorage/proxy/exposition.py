"""Prometheus' text format 0.0.4: the one place that writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

CONTENT_TYPE = "text/plain; version=0.0.4"
Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of labels."""
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def family(
    name: str, kind: Literal["counter", "gauge"], about: str, samples: Iterable[tuple[Labels, float]]
) -> str:
    """Return the lines of one metric.

    Args:
        name: of the metric.
        kind: of it.
        about: what it counts, one line.
        samples: its values, each with its labels.
    """
    lines = [f"# HELP {name} {about}\n# TYPE {name} {kind}\n"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{text.translate(_ESCAPED)}"' for key, text in labels)
        lines.append(f"{name}{{{inside}}} {value}\n" if inside else f"{name} {value}\n")
    return "".join(lines)


def single(name: str, kind: Literal["counter", "gauge"], about: str, value: float) -> str:
    """Return the lines of a metric of one value without labels."""
    return family(name, kind, about, [((), value)])
