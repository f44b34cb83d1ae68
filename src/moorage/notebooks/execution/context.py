"""What all notebooks of one run share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moorage.notebooks.cache.cache import Cache
from moorage.notebooks.events import Event
from moorage.notebooks.execution.links import Links
from moorage.notebooks.execution.prelaunch import Prelaunch
from moorage.notebooks.execution.run_warden import RunWarden
from moorage.notebooks.execution.tools import Tools
from moorage.notebooks.output.conflicts import Conflicts
from moorage.notebooks.output.exporter import Exporter
from moorage.notebooks.output.writer import Writer
from moorage.notebooks.planning.collect import SourceFile
from moorage.notebooks.planning.dependencies import Link
from moorage.notebooks.planning.settings import NotebookSettings, RenderSettings
from moorage.process.local import Fork


@dataclass(frozen=True)
class Item:
    """One notebook of a run, planned.

    Attributes:
        file: its source and where its output goes.
        settings: what configuration and metadata say about it.
        data: the source's bytes as they were when the run was planned.
        links: placed in its directory while it runs.
        missing: why it cannot run at all, or empty.
        documents: every document it becomes, by format; ``ipynb`` is always there, in a private place
            when nobody asked for it.
        waited_for: something depends on it: it has not ended before its kernel has.
        fresh: never rendered before, as far as is known: its kernel is started while it is parsed.
    """

    file: SourceFile
    settings: NotebookSettings
    data: bytes = field(repr=False)
    documents: Mapping[str, Path]
    links: tuple[Link, ...] = ()
    missing: str = ""
    waited_for: bool = False
    fresh: bool = False

    @property
    def name(self) -> str:
        """The source's path relative to the run's root."""
        return self.file.name

    @property
    def directory(self) -> Path:
        """Where it runs."""
        return self.file.path.parent


@dataclass(frozen=True)
class Context:
    """One run: where it reads and writes, and whom it tells.

    Attributes:
        root: common ancestor of the sources: names are relative to it.
        home: folder of the project: what the cache keeps is named relative to it, so that a notebook is the
            same one whichever sources are named beside it.
        cwd: absolute working directory.
        surroundings: environment of the kernels before what is said about single ones.
        writer: writes the output folder.
        fork: whether kernels are forked from a template, which pays where there are several.
        ahead: kernels started while others still run, or None.
        tools: what sources are read and pages are made with.
    """

    root: Path
    home: Path
    cwd: Path
    out_dir: Path
    settings: RenderSettings
    warden: RunWarden
    cache: Cache | None
    exporter: Exporter
    emit: Callable[[Event], None]
    clock: Callable[[], float]
    surroundings: Mapping[str, str] = field(repr=False)
    links: Links
    writer: Writer
    conflicts: Conflicts = field(default_factory=Conflicts)
    fork: Fork = False
    ahead: Prelaunch | None = None
    tools: Tools = field(default_factory=Tools)

    def shown(self, path: Path) -> str:
        """Return a path as the user would write it: relative to the working directory where that is below."""
        return os.path.relpath(path, self.cwd) if path.is_relative_to(self.cwd) else str(path)
