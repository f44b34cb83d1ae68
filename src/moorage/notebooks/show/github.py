"""GitHub Actions: annotations on failures, folded tracebacks, the step summary.

Workflow commands: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import html
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from moorage.notebooks.events import GOOD, INTERRUPTED, Event, Note, NotebookFinished, Outcome, RunFinished
from moorage.notebooks.show import ansi
from moorage.notebooks.show.failed_notebook import file_line, headline, message, source_block, traceback_text
from moorage.notebooks.show.figures import counted, duration
from moorage.notebooks.show.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.notebooks.show.presenter import Presenter
    from moorage.notebooks.show.sink import Sink

SUMMARY_LIMIT: Final = 1_000_000
"""GitHub refuses a step's summary above 1 MiB as a whole."""
_DETAIL_LIMIT: Final = 20_000
"""Characters of one failure in the summary; the log has all of it."""


def escape_data(text: str) -> str:
    """Return ``text`` as the data of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Return ``text`` as a property of a workflow command."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def annotation(outcome: Outcome, file: str) -> str:
    """Return the ``::error`` (or for skipped ``::warning``) command for a notebook that did not end well.

    Args:
        outcome: the notebook.
        file: its source relative to the repository.
    """
    level = "warning" if outcome.status == "skipped" else "error"
    line = file_line(outcome)
    properties = {"file": file, "title": f"{outcome.source}: {headline(outcome)}"}
    if line:
        properties["line"] = str(line)
    given = ",".join(f"{name}={escape_property(value)}" for name, value in properties.items())
    return f"::{level} {given}::{escape_data(message(outcome))}"


class GitHub:
    """Adds workflow commands around what another presenter writes to the same log.

    Args:
        inner: writes the lines; what it writes about a failure is folded.
        sink: the log, the same as the inner presenter's.
        environ: ``GITHUB_WORKSPACE`` and ``GITHUB_STEP_SUMMARY`` are read from it.
    """

    def __init__(self, inner: Presenter, *, sink: Sink, environ: Mapping[str, str]) -> None:
        self._inner = inner
        self._sink = sink
        self._workspace = environ.get("GITHUB_WORKSPACE", "")
        self._summary = environ.get("GITHUB_STEP_SUMMARY", "")
        self._tally = Tally()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._inner.__exit__(*exc_info)

    def handle(self, event: Event) -> None:
        """Pass one event on, with the commands that belong to it."""
        self._tally.handle(event)
        match event:
            case NotebookFinished(_, outcome) if outcome.status not in GOOD and outcome.reason != INTERRUPTED:
                self._folded(event)
            case Note():
                about = f"file={escape_property(self._file(event.source))}" if event.source else ""
                self._sink.command(f"::{event.level} {about}::{escape_data(event.text)}")
            case RunFinished():
                self._inner.handle(event)
                self._append(event)
            case _:
                self._inner.handle(event)

    def tick(self, now: float) -> None:
        """Pass the time on."""
        self._inner.tick(now)

    def _folded(self, event: NotebookFinished) -> None:
        outcome = event.outcome
        self._sink.command(annotation(outcome, self._file(outcome.source)))
        self._sink.command(f"::group::{escape_data(f'{outcome.source}: {headline(outcome)}')}")
        # A traceback may hold lines that look like commands; this token ends their being inert.
        token = secrets.token_hex(16)
        self._sink.command(f"::stop-commands::{token}")
        self._inner.handle(event)
        self._sink.command(f"::{token}::")
        self._sink.command("::endgroup::")

    def _file(self, source: str) -> str:
        return os.path.relpath(Path(self._tally.plan.root, source), self._workspace or None)

    def _append(self, event: RunFinished) -> None:
        if not self._summary:
            return
        path = Path(self._summary)
        try:
            used = path.stat().st_size if path.exists() else 0
            text = step_summary(self._tally, seconds=event.at, limit=SUMMARY_LIMIT - used)
            with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError as error:
            why = escape_data(str(error))
            self._sink.command(f"::warning::the step summary could not be written: {why}")


def step_summary(tally: Tally, *, seconds: float, limit: int = SUMMARY_LIMIT) -> str:
    """Return the run as GitHub Markdown of at most ``limit`` bytes.

    Failures come first in the table, so that what a limit cuts off is what went well; how much was left out
    is said.

    Args:
        tally: the finished run.
        seconds: its wall time.
        limit: bytes there is room for.
    """
    counts = ", ".join(f"{number} {status}" for status, number in sorted(tally.counts.items()))
    head = f"### {counted(tally.total, 'notebook')} in {duration(seconds)}: {counts or 'none'}\n\n"
    table = "| | notebook | status | seconds | attempts |\n|-|-|-|-:|-:|\n"
    good = [outcome for outcome in tally.outcomes.values() if outcome.status in GOOD]
    rows = [_row(outcome) for outcome in [*tally.bad, *good]]
    details = [_details(outcome) for outcome in tally.bad if outcome.status != "skipped"]
    room = limit - len((head + table).encode()) - 200
    kept_rows = _within(rows, room // 2 if details else room)
    kept_details = _within(details, room - sum(len(row.encode()) for row in kept_rows))
    text = head + (table + "".join(kept_rows) if rows else "") + "\n" + "".join(kept_details)
    left_out = len(rows) - len(kept_rows), len(details) - len(kept_details)
    if any(left_out):
        text += (
            f"\nLeft out for want of room: {left_out[0]} rows, {left_out[1]} failures. The log has them.\n"
        )
    return text if len(text.encode("utf-8", "backslashreplace")) <= limit else ""


def _within(parts: list[str], room: int) -> list[str]:
    kept: list[str] = []
    for part in parts:
        room -= len(part.encode("utf-8", "backslashreplace"))
        if room < 0:
            break
        kept.append(part)
    return kept


_MARKS: Final = {
    "ok": "✅", "cached": "☑️", "failed": "❌", "timeout": "⌛", "died": "💥", "skipped": "⚪",
}  # fmt: skip


def _row(outcome: Outcome) -> str:
    seconds = f"{outcome.seconds:.1f}" if outcome.attempts else ""
    name = _literal(outcome.source)
    return (
        f"| {_MARKS[outcome.status]} | {name} | {outcome.status} | {seconds} | {outcome.attempts or ''} |\n"
    )


def _details(outcome: Outcome) -> str:
    from moorage.notebooks.show.failed_notebook import Symbols

    text = "\n".join([*source_block(outcome, Symbols()), "", traceback_text(outcome, colour=False)]).strip(
        "\n"
    )
    if len(text) > _DETAIL_LIMIT:
        cut = len(text) - _DETAIL_LIMIT
        text = (
            f"{text[: _DETAIL_LIMIT // 2]}\n… {cut} characters, see the log …\n{text[-_DETAIL_LIMIT // 2 :]}"
        )
    title = f"{_literal(outcome.source)} {_literal(headline(outcome))}: {_literal(message(outcome))}"
    return f"<details><summary>{title}</summary>\n\n<pre>\n{html.escape(text)}\n</pre>\n</details>\n\n"


def _literal(text: str) -> str:
    """Return ``text`` so that neither Markdown nor HTML finds anything in it."""
    flat = " ".join(ansi.strip(text).split())
    return re.sub(r"[^\w\s/.-]|_|(?<=www)\.", lambda match: f"&#{ord(match[0])};", flat)
