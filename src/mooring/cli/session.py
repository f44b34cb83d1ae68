"""A run of ``mooring render`` in this terminal: presenter, report files, exit code."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from mooring.cli.main import version
from mooring.render.atomic import write_whole
from mooring.render.events import Event
from mooring.render.progress import Presenter, choose_presenter
from mooring.render.record import Record
from mooring.render.results import exit_code, to_json, to_junit
from mooring.render.run import Report, render
from mooring.render.settings import configuration_for, merge
from mooring.tasks import every

_TICK_SECONDS = 0.125


def render_session(sources: Sequence[str], flags: Mapping[str, Any], stdout: IO[str], stderr: IO[str]) -> int:
    """Render, show it, write what was asked for.

    Args:
        sources: as on the command line.
        flags: those that were given, by name with underscores.
        stdout: for results.
        stderr: for errors, and for progress when it is a terminal.

    Returns:
        The exit code.

    Raises:
        MooringError: the run could not be carried out.
    """
    settings = merge(flags, configuration_for(sources, Path.cwd()))
    to_stdout = settings.json == Path("-")
    presenter = choose_presenter(
        stdout=stdout,
        stderr=stderr,
        environ=os.environ,
        quiet=settings.quiet,
        plain=settings.plain,
        json_to_stdout=to_stdout,
    )
    record = Record()
    began = datetime.now(UTC)

    def emit(event: Event) -> None:
        record.handle(event)
        presenter.handle(event)

    def finish(report: Report) -> None:
        files = Files(record, report, began)
        if settings.report is not None:
            files.report(settings.report)
        if settings.junit is not None:
            files.junit(settings.junit)
        if settings.json is not None and not to_stdout:
            files.json(settings.json)
        if "html" in settings.to and len(report.outcomes) > 1:
            files.index(report.out_dir / "index.html")

    with presenter:
        report = asyncio.run(_run(sources, flags, emit, finish, presenter))
    if to_stdout:
        stdout.write(json.dumps(to_json(report.outcomes, report.seconds, version()), indent=1) + "\n")
        stdout.flush()
    return exit_code(report.outcomes, interrupted=report.interrupted)


async def _run(
    sources: Sequence[str],
    flags: Mapping[str, Any],
    emit: Callable[[Event], None],
    finish: Callable[[Report], None],
    presenter: Presenter,
) -> Report:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with every(_TICK_SECONDS, lambda: presenter.tick(loop.time() - began)):
        return await render(sources, emit=emit, finish=finish, catch_signals=True, **flags)


class Files:
    """The files that tell of a run."""

    def __init__(self, record: Record, report: Report, began: datetime) -> None:
        self._record = record
        self._report = report
        self._began = began

    def report(self, path: Path) -> None:
        """Write the report page."""
        from mooring.render.report import write_report

        write_report(path, self._record, self._about(), executed=self._report.executed)

    def index(self, path: Path) -> None:
        """Write the index of all pages."""
        from mooring.render.report import write_index

        write_index(path, self._record, self._about(), executed=self._report.executed)

    def junit(self, path: Path) -> None:
        """Write the results for a CI system."""
        name = Path(self._record.plan.root).name or "mooring"
        write_whole(
            path, to_junit(self._report.outcomes, self._report.seconds, name=name, started=self._began)
        )

    def json(self, path: Path) -> None:
        """Write the results as JSON."""
        content = to_json(self._report.outcomes, self._report.seconds, version())
        write_whole(path, json.dumps(content, indent=1).encode() + b"\n")

    def _about(self) -> Any:
        from mooring.render.report import About

        project = Path(self._record.plan.root).name
        return About(project=project, version=version(), made=datetime.now(UTC).astimezone())
