"""Made-up runs for the tests of what people look at."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from moorage.notebooks.events import (
    CellStarted,
    Event,
    Failure,
    MemorySampled,
    Note,
    NotebookFinished,
    NotebookRetried,
    NotebookStarted,
    Outcome,
    RunFinished,
    RunStarted,
)

if TYPE_CHECKING:
    from pathlib import Path

TRACEBACK = (
    "\x1b[31m---------------------------------------------------------------------------\x1b[39m",
    "\x1b[31mValueError\x1b[39m                                Traceback (most recent call last)",
    "\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[7]\x1b[39m\x1b[32m, line 3\x1b[39m",
    "\x1b[32m      1\x1b[39m u = a\n\x1b[32m----> \x1b[39m\x1b[32m3\x1b[39m flux = u + T",
    "\x1b[31mValueError\x1b[39m: shapes (64,32) (32,64)",
)
FAILURE = Failure(
    14, "ValueError", "shapes (64,32) (32,64)", TRACEBACK, "u = a\nT = b\nflux = u + T\nplot()", 88
)
LOST = "the kernel was killed by signal 9, cause unknown; its last memory was 3.9 GiB"

OK = Outcome(
    "demos/box.py", "out/demos/box.ipynb", "ok", 12.34, "spec/python3", "ipc", 1, None,
    ("demos/film.mp4",), "", 0.5, 0, 12, 12, 1_500_000_000, ("out/demos/box.html",),
)  # fmt: skip
CACHED = Outcome("demos/old.py", "out/demos/old.ipynb", "cached", kernel="spec/python3")
FAILED = Outcome(
    "demos/cavity.py", "out/demos/cavity.ipynb", "failed", 4.6, "spec/python3", "ipc", 1, FAILURE,
    (), "", 0.5, 1, 12, 7, 200_000_000,
)  # fmt: skip
DIED = Outcome(
    "demos/rebound.py", None, "died", 2.1, "spec/python3", "ipc", 2,
    Failure(10, "KernelDied", LOST, (), "big = np.ones(1 << 40)", 41), (), LOST, 8.0, 1, 9, 4,
)  # fmt: skip
TIMEOUT = Outcome(
    "demos/endless.ipynb", "out/demos/endless.ipynb", "timeout", 60.0, "spec/python3", "ipc", 1,
    Failure(2, "DeadlineExceeded", "cell 2 took longer than 60 s", (), "while True: pass"),
    started=10.0, worker=1,
)  # fmt: skip
SKIPPED = Outcome("demos/needs.py", None, "skipped", reason="demos/cavity.py, which it needs, failed")
ALL = (OK, CACHED, FAILED, DIED, TIMEOUT, SKIPPED)

HOSTILE = '</pre></style></details><script>alert(1)</script><img src=x onerror="alert(2)">'


def run(
    *outcomes: Outcome, jobs: int = 2, root: str = "", out: str = "out", interrupted: bool = False
) -> list[Event]:
    """Return the events of a run that ends with ``outcomes``."""
    events: list[Event] = [RunStarted(tuple(done.source for done in outcomes), jobs, root, out)]
    end = 0.0
    for done in outcomes:
        start = done.started
        if start is not None:
            if done.attempts > 1:
                events.append(NotebookStarted(done.source, start - 3, done.worker or 0, 1))
                events.append(NotebookRetried(done.source, start - 1, 2, "the kernel ended with exit code 1"))
            events.append(NotebookStarted(done.source, start, done.worker or 0, done.attempts))
            events.append(CellStarted(done.source, start + 0.1, 1, max(done.cells, 1), 2))
            events.append(MemorySampled(done.source, start + 0.2, 150 << 20))
            end = max(end, start + done.seconds)
        events.append(NotebookFinished(end, done))
    events.append(Note("notice", "python3 is the nearest by language", "demos/box.py"))
    events.append(RunFinished(end, outcomes, interrupted))
    return events


def png(width: int = 8, height: int = 8, noise: bytes = b"") -> bytes:
    """Return a valid PNG; ``noise`` makes it as large as wanted."""
    rows = noise or b"".join(b"\x00" + b"\x10\x60\x90" * width for _ in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def notebook(
    *, heading: str = "# A title", data: dict[str, Any] | None = None, **code: Any
) -> dict[str, Any]:
    """Return a notebook of a Markdown cell and a code cell whose output is ``data``."""
    outputs = [{"output_type": "display_data", "metadata": {}, "data": data}] if data else []
    return {
        "cells": [
            {"cell_type": "markdown", "id": "a", "metadata": {}, "source": [f"{heading}\n", "\n", "Words."]},
            {"cell_type": "code", "id": "b", "metadata": {}, "source": "plot()", "execution_count": 1}
            | {"outputs": outputs}
            | code,
        ],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_notebook(path: Path, content: dict[str, Any]) -> Path:
    """Write a notebook, folders and all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def encoded(data: bytes) -> str:
    """Return ``data`` as notebooks hold it."""
    return base64.encodebytes(data).decode("ascii")
