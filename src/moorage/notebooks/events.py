"""What happens during a run, as records: the batch emits them, presenters and reports read them.

Nothing here does anything. Times are seconds since the run began (``at``) or durations (``seconds``).
"""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["ok", "cached", "failed", "timeout", "died", "skipped"]
"""How a notebook ended. ``failed``: a cell raised. ``timeout``: a deadline of the caller's passed.
``died``: the kernel's process ended or never answered. ``skipped``: not run, see ``Outcome.reason``."""

GOOD: frozenset[Status] = frozenset({"ok", "cached"})
INTERRUPTED = "interrupted"
"""The reason of a notebook that was skipped because the user stopped the run."""


class Failure(msgspec.Struct, frozen=True):
    """The error of one notebook.

    Attributes:
        cell: number of the cell among all cells of the notebook, from 1; 0 when it was none of them
            (the kernel did not start, the document could not be read).
        ename, evalue, traceback: as the kernel reported them (traceback lines may hold ANSI colours);
            for deaths and deadlines ``ename`` is the moorage error's class and ``evalue`` its sentence.
        cell_source: the source of that cell.
        line: line of the cell's first source line in the source file, where it is a text document.
    """

    cell: int
    ename: str
    evalue: str
    traceback: tuple[str, ...] = ()
    cell_source: str = ""
    line: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """Everything known about one notebook when it is done.

    Attributes:
        source: path of the source relative to the run's root, with forward slashes.
        output: path of the written document as given to the user (relative to the working directory
            where possible), or None when nothing was written.
        status: how it ended.
        seconds: wall time of the last attempt, from the launch of its kernel to the file in place.
        kernel: kernel type, or None when none was chosen.
        rendezvous: the rendezvous of the last attempt, or None when no kernel ran.
        forked: whether the last attempt's kernel was forked from a template; None when no kernel ran.
        not_forked: why it was not; else empty.
        attempts: how many kernels were launched for it.
        error: what went wrong, or None.
        artifacts: collected files, relative to the output folder.
        reason: for ``skipped`` and ``died``: why, in one sentence; else empty.
        started: when the (last) attempt began; None if it never did.
        worker: which of the parallel places it ran in, from 0; None if it never ran.
        cells, cells_done: code cells in all, and those that were executed.
        peak_memory: largest resident memory seen, in bytes.
        exports: further written files (html, md), as given to the user.
        excused: skipped on purpose: its kernel is not here, and it is declared optional.
    """

    source: str
    output: str | None
    status: Status
    seconds: float = 0.0
    kernel: str | None = None
    rendezvous: str | None = None
    attempts: int = 0
    error: Failure | None = None
    artifacts: tuple[str, ...] = ()
    reason: str = ""
    started: float | None = None
    worker: int | None = None
    cells: int = 0
    cells_done: int = 0
    peak_memory: int | None = None
    exports: tuple[str, ...] = ()
    excused: bool = False
    forked: bool | None = None
    not_forked: str = ""

    @property
    def good(self) -> bool:
        """Whether the run is well as far as this notebook goes."""
        return self.status in GOOD or self.excused


class Preparing(msgspec.Struct, frozen=True):
    """The run is being set up; ``text`` says what is done now."""

    text: str


class RunStarted(msgspec.Struct, frozen=True):
    """The plan is made.

    Attributes:
        sources: every notebook of the run in the order given, as in ``Outcome.source``.
        jobs: how many may run at once.
        expected: seconds each notebook took last time, where known (source -> seconds).
        again: what the same command does after an interruption, in a clause.
    """

    sources: tuple[str, ...]
    jobs: int
    root: str
    out: str
    expected: dict[str, float] = {}
    again: str = "the same command goes on from there"


class NotebookStarted(msgspec.Struct, frozen=True):
    """A kernel is being launched for a notebook."""

    source: str
    at: float
    worker: int
    attempt: int


class CellStarted(msgspec.Struct, frozen=True):
    """Code cell ``index`` of ``total`` (from 1) begins; ``cell`` numbers it among all cells."""

    source: str
    at: float
    index: int
    total: int
    cell: int


class KernelStandstill(msgspec.Struct, frozen=True):
    """The kernel of a notebook was found stopped, or running again.

    Attributes:
        why: what holds its process still, in words such as ``stopped (SIGSTOP)``; empty where it runs again.
        do: what lets it go on, in a clause.
    """

    source: str
    at: float
    why: str
    do: str = ""


class MemorySampled(msgspec.Struct, frozen=True):
    """Resident memory of a notebook's kernel and its children now, in bytes."""

    source: str
    at: float
    memory: int


class NotebookRetried(msgspec.Struct, frozen=True):
    """A kernel died and the notebook is put back in the queue."""

    source: str
    at: float
    attempt: int
    reason: str


class NotebookFinished(msgspec.Struct, frozen=True):
    """One notebook is done."""

    at: float
    outcome: Outcome


class Note(msgspec.Struct, frozen=True):
    """Something the user should hear: a kernel chosen by language, an artefact written twice.

    Attributes:
        level: ``notice`` or ``warning``.
        source: the notebook it is about, or None.
    """

    level: Literal["notice", "warning"]
    text: str
    source: str | None = None


class Interrupted(msgspec.Struct, frozen=True):
    """The run was told to end: it starts nothing more, and ends the kernels of what runs.

    Attributes:
        running: the notebooks whose kernels it waits for.
        by: name of the signal.
    """

    at: float
    running: tuple[str, ...]
    by: str = "SIGINT"


class Abandoned(msgspec.Struct, frozen=True):
    """The run was told a second time: this process ends at once, and the warden ends its kernels."""

    at: float


class RunFinished(msgspec.Struct, frozen=True):
    """The run is over; ``interrupted`` when the user stopped it."""

    at: float
    outcomes: tuple[Outcome, ...]
    interrupted: bool = False


class FilesWritten(msgspec.Struct, frozen=True):
    """What tells of the run is in place: the last event.

    Attributes:
        results: file or folder that holds the documents, as given to the user; empty where there are none.
        files: (name, path) of the further files, such as the report.
    """

    results: str
    files: tuple[tuple[str, str], ...] = ()


Event = (
    Preparing
    | RunStarted
    | NotebookStarted
    | CellStarted
    | KernelStandstill
    | MemorySampled
    | NotebookRetried
    | NotebookFinished
    | Note
    | Interrupted
    | Abandoned
    | RunFinished
    | FilesWritten
)
