"""How long each notebook took last time: what makes the longest start first and an ETA possible.

A small JSON file beside the cache. Losing it costs nothing but a worse order, so whatever is wrong with it
reads as "nothing known", and failing to write it is no failure of the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from moorage.errors import OutputError
from moorage.notebooks.output.atomic import locked, write_whole
from moorage.notebooks.output.guard import UNGUARDED, Guard
from moorage.regular import read_regular

FILE_NAME = "timings.json"
_LONGEST = 366 * 86400.0  # no notebook takes longer: what says so is not believed


def load_timings(path: Path) -> dict[str, float]:
    """Return seconds by source as saved at ``path``; empty when there is no such file, or no sense in it."""
    try:
        content = json.loads(read_regular(path))
        table = content["seconds"] if content["version"] == 1 else {}
        return {
            name: float(seconds)
            for name, seconds in table.items()
            if isinstance(seconds, int | float) and 0 <= seconds <= _LONGEST
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def save_timings(path: Path, seconds: Mapping[str, float], *, guard: Guard = UNGUARDED) -> bool:
    """Merge ``seconds`` into the file at ``path``, which is replaced at once or not at all.

    Two runs that save at the same time both keep theirs.

    Args:
        path: the file; its folder is made.
        seconds: by source.
        guard: deletes the temporary file should moorage be killed.

    Returns:
        Whether it could be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            return False
        with locked(path.parent):
            merged = {**load_timings(path), **seconds}
            rounded = {name: round(merged[name], 3) for name in sorted(merged)}
            content = json.dumps({"version": 1, "seconds": rounded}, indent=1).encode()
            write_whole(path, content, guard=guard)
    except (OSError, OutputError):
        return False
    return True
