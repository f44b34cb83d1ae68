"""A run of ``moorage render`` in this terminal: presenter, report files, exit code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from moorage.cli.complaints import complain
from moorage.cli.stdio import json_text, raw
from moorage.errors import MoorageError, OutputError
from moorage.notebooks.events import Event, FilesWritten
from moorage.notebooks.planning.request import RenderRequest, requested
from moorage.notebooks.planning.targets import has_index
from moorage.notebooks.run import Report, carry_out
from moorage.notebooks.show.progress import choose_presenter
from moorage.notebooks.show.record import RunRecord
from moorage.notebooks.show.results import exit_code
from moorage.notebooks.show.sink import Sink
from moorage.notebooks.unexpected import unexpected
from moorage.process.warden.shared import shared_warden
from moorage.tasks import every
from moorage.version import __version__

if TYPE_CHECKING:
    from moorage.notebooks.planning.settings import RenderSettings
    from moorage.notebooks.show.presenter import Presenter
    from moorage.process.warden.process import WardenProcess

_TICK_SECONDS = 0.125


def render_session(
    sources: Sequence[str],
    flags: Mapping[str, Any],
    stdout: IO[str],
    stderr: IO[str],
    *,
    warden: WardenProcess | None = None,
) -> int:
    """Render, show it, write what was asked for.

    Args:
        sources: as on the command line.
        flags: those that were given, by name with underscores.
        stdout: for results.
        stderr: for errors, and for progress when it is a terminal.
        warden: started ahead, to be used by this run.

    Returns:
        The exit code.

    Raises:
        MoorageError: the run could not be carried out.
    """
    request = requested(sources, flags)
    presenter = _presenter(request, stdout, stderr)
    record = RunRecord()
    began = datetime.now(UTC)
    complaints: list[MoorageError] = []
    written: list[Files] = []

    def emit(event: Event) -> None:
        record.handle(event)
        presenter.handle(event)

    def finish(report: Report) -> None:
        written.append(Files(record, report, began, stdout))
        complaints.extend(written[0].write(request.settings))
        emit(written[0].told())

    try:
        with presenter:
            report = asyncio.run(_run(request, emit, finish, presenter, warden))
        for files in written:
            complaints.extend(files.drain())
    finally:
        failed = [complain(error) for error in complaints]
    return max(exit_code(report.outcomes, interrupted=report.interrupted), *failed, 0)


def _presenter(request: RenderRequest, stdout: IO[str], stderr: IO[str]) -> Presenter:
    settings = request.settings
    return choose_presenter(
        stdout=stdout,
        stderr=stderr,
        environ=os.environ,
        quiet=settings.quiet,
        plain=settings.plain,
        stdout_taken=request.to_stdout or settings.json == Path("-"),
    )


async def _run(
    request: RenderRequest,
    emit: Callable[[Event], None],
    finish: Callable[[Report], None],
    presenter: Presenter,
    warden: WardenProcess | None,
) -> Report:
    loop = asyncio.get_running_loop()
    began = loop.time()
    # Without one the run starts its own, after it has looked at what was asked for.
    async with nullcontext() if warden is None else shared_warden(warden):
        with every(_TICK_SECONDS, lambda: presenter.tick(loop.time() - began)):
            return await carry_out(request, emit=emit, finish=finish, catch_signals=True)


class Files:
    """The files that tell of a run."""

    def __init__(self, record: RunRecord, report: Report, began: datetime, stdout: IO[str]) -> None:
        """Take what is to be told; ``stdout`` is for ``--json -``."""
        self._record = record
        self._report = report
        self._began = began
        self._sink = Sink(raw(stdout))
        self._overwrite = False
        self._written: list[tuple[str, str]] = []

    def told(self) -> FilesWritten:
        """Return where results and further files are."""
        documents = [name for each in self._report.outcomes for name in (each.output, *each.exports) if name]
        alone = len(self._report.outcomes) == len(documents) == 1
        if documents == ["-"]:
            return FilesWritten("stdout", tuple(self._written))
        results = documents[0] if alone else self._record.plan.out if documents else ""
        return FilesWritten(results, tuple(self._written))

    def write(self, settings: RenderSettings) -> list[MoorageError]:
        """Write everything that was asked for, and return what could not be written."""
        report = self._report
        self._overwrite = settings.overwrite
        if settings.out == Path("-"):
            self._to_stdout(settings.to[0])
        wanted: list[tuple[str, Callable[[Path], None], Path | None]] = [
            ("json", self.json, settings.json),
            ("junit", self.junit, settings.junit),
            ("report", self.report, settings.report),
        ]
        if has_index(settings, [each.source for each in report.outcomes]):
            wanted.insert(0, ("index", self.index, report.out_dir / "index.html"))
        complaints = []
        for name, write, path in wanted:
            try:
                if path is not None:
                    write(path)
                    self._written += [] if path == Path("-") else [(name, _shown(path))]
            except Exception as error:  # noqa: BLE001 - the boundary between one file and the next
                complaints.append(unexpected(error))
        return complaints

    def _to_stdout(self, form: str) -> None:
        """Hand the one document to stdout, if there is one."""
        for path in self._report.out_dir.glob(f"*.{form}"):
            self._sink.write(path.read_bytes())
            self._sink.flush()

    def report(self, path: Path) -> None:
        """Write the report page."""
        from moorage.notebooks.show.report import write_report

        write_report(path, self._record, self._about(), executed=self._report.executed, write=self._named)

    def index(self, path: Path) -> None:
        """Write the index of all pages."""
        from moorage.notebooks.output.writer import Writer
        from moorage.notebooks.show.report import write_index

        write = Writer(self._report.out_dir, overwrite=self._overwrite).write
        write_index(path, self._record, self._about(), executed=self._report.executed, write=write)

    def junit(self, path: Path) -> None:
        """Write the results for a CI system."""
        from moorage.notebooks.show.results import to_junit

        name = Path(self._record.plan.root).name or "moorage"
        self._named(
            path, to_junit(self._report.outcomes, self._report.seconds, name=name, started=self._began)
        )

    def json(self, path: Path) -> None:
        """Write the results as JSON; ``-`` is stdout."""
        from moorage.notebooks.show.results import to_json

        content = to_json(self._report.outcomes, self._report.seconds, __version__)
        text = json_text(content) + "\n"
        if path != Path("-"):
            self._named(path, text.encode())
        else:
            self._sink.write(text)
            self._sink.flush()

    def drain(self) -> list[MoorageError]:
        """Wait until stdout has taken what it gets, and return what is wrong with that."""
        sink = self._sink
        sink.drain(hurried=self._report.interrupted)
        if sink.lost is not None and not isinstance(sink.lost, BrokenPipeError):  # `| head` is no error
            what = "the results cannot be written to stdout"
            return [OutputError(what, why=str(sink.lost.strerror))]
        return []

    def _named(self, path: Path, data: bytes) -> None:
        from moorage.notebooks.output.named import write_named

        write_named(path, data, overwrite=self._overwrite)

    def _about(self) -> Any:
        from moorage.notebooks.show.report import About

        project = Path(self._record.plan.root).name
        return About(project=project, version=__version__, made=datetime.now(UTC).astimezone())


def _shown(path: Path) -> str:
    """Return a path as the user would write it here."""
    here = Path.cwd()
    return os.path.relpath(path) if path.absolute().is_relative_to(here) else str(path)
