"""What all notebooks of one run share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from moorage.notebooks.execution.tools import Tools
from moorage.notebooks.output.conflicts import Conflicts
from moorage.notebooks.records import repr_without
from moorage.notebooks.relative import text_below

if TYPE_CHECKING:
    # What only a kernel needs is loaded with the first one.
    from moorage.notebooks.cache.cache import ResultCache
    from moorage.notebooks.events import Event
    from moorage.notebooks.execution.links import Links
    from moorage.notebooks.execution.prelaunch import Prelaunch
    from moorage.notebooks.execution.run_warden import RunWarden
    from moorage.notebooks.output.exporter import Exporter
    from moorage.notebooks.output.writer import Writer
    from moorage.notebooks.planning.settings import RenderSettings
    from moorage.process.base import Fork


class Folders(Struct, frozen=True, kw_only=True):
    """Where a run reads and writes; all absolute.

    Attributes:
        root: common ancestor of the sources: names are relative to it.
        home: folder of the project: what the cache keeps is named relative to it, so that a notebook is the
            same one whichever sources are named beside it.
        cwd: the working directory.
        out: folder of the outputs.
        to_stdout: whether the one document goes to stdout; ``out`` is a private folder then.
    """

    root: Path
    home: Path
    cwd: Path
    out: Path
    to_stdout: bool = False

    def shown(self, path: Path) -> str:
        """Return a path as the user would write it: relative to the working directory where that is below."""
        if self.to_stdout and path.is_relative_to(self.out):
            return "-"
        if (below := text_below(self.cwd, path)) is not None:
            return below
        return os.path.relpath(path, self.cwd) if path.is_relative_to(self.cwd) else str(path)


class Launching(Struct, frozen=True, kw_only=True):
    """How the kernels of a run are launched.

    Attributes:
        warden: guards the run's files, and is there for kernels.
        environ: environment of the kernels before what is said of single ones.
        links: placed while notebooks run.
        fork: whether kernels are forked from a template, which pays where there are several.
        prelaunch: kernels started while others still run, or None.
    """

    warden: RunWarden
    environ: Mapping[str, str]
    links: Links
    fork: Fork = False
    prelaunch: Prelaunch | None = None

    def __repr__(self) -> str:
        return repr_without(self, "environ")


class Results(Struct, frozen=True, kw_only=True):
    """Where the results of a run go.

    Attributes:
        writer: writes the output folder.
        exporter: makes the pages.
        cache: keeps results between runs; None for none.
        conflicts: which notebook a file belongs to that several may have made.
        tools: what sources are read and pages are made with.
    """

    writer: Writer
    exporter: Exporter
    cache: ResultCache | None
    conflicts: Conflicts = field(default_factory=Conflicts)
    tools: Tools = field(default_factory=Tools)


class Context(Struct, frozen=True, kw_only=True):
    """One run: where it reads and writes, how its kernels are launched, what is told of it.

    Attributes:
        settings: of the run; what counts for one notebook is in its own settings.
        emit: called with every event.
        clock: returns the seconds since the run began.
    """

    folders: Folders
    settings: RenderSettings
    launching: Launching
    results: Results
    emit: Callable[[Event], None]
    clock: Callable[[], float]
