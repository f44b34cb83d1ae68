"""What ``moorage temp load`` does with its options: a crowd, its progress, and its figures in the end."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from moorage.cli.complaints import FAILED, INTERRUPTED, OK
from moorage.cli.stdio import json_text, raw
from moorage.cli.table import Column, Screen, lines
from moorage.errors import UsageError
from moorage.load.crowd import Crowd, CrowdEnd
from moorage.load.measures import Measures, figures, groups
from moorage.load.report import report_page
from moorage.load.settings import LoadSettings
from moorage.load.steps import TITLES, Step
from moorage.load.target import checked_url
from moorage.load.words import counted, document, remarks, span, verdict
from moorage.notebooks.output.atomic import write_whole
from moorage.notebooks.show.figures import clock
from moorage.notebooks.show.sink import Sink
from moorage.proxy.limits import raise_limit
from moorage.tasks import every
from moorage.version import __version__

SELDOM, OFTEN = 5.0, 0.5
"""Seconds between two lines of progress in a pipe, and between two drawings of it on a terminal."""
_EACH_VISITOR = 12
"""Descriptors that a visitor may have open: six requests, websockets, and as many to spare."""


def settings_of(options: argparse.Namespace) -> LoadSettings:
    """Return the crowd that a command line asks for.

    Raises:
        UsageError: a value cannot be, or the URL may lead to a machine of others.
    """
    for name, least in (("visitors", 1), ("notebooks", 0)):
        if getattr(options, name) < least:
            raise UsageError(
                f"--{name} {getattr(options, name)} cannot be", why=f"It must be {least} or more"
            )
    for name in ("within", "stay"):
        if not 0 <= getattr(options, name) <= 1e6:
            raise UsageError(f"--{name} {getattr(options, name):g} cannot be", why="It must be 0 or more")
    for name in ("minutes", "pause", "patience"):
        if not 0 < getattr(options, name) <= 1e6:
            raise UsageError(f"--{name} {getattr(options, name):g} cannot be", why="It must be more than 0")
    return LoadSettings(
        url=checked_url(options.url, own=options.yes_it_is_mine),
        visitors=options.visitors,
        within=options.within,
        notebooks=options.notebooks,
        seconds=60 * options.minutes,
        stay=options.stay,
        pause=options.pause,
        patience=options.patience,
        own=options.yes_it_is_mine,
    )


async def load(settings: LoadSettings, json: str | None, report: str | None) -> int:
    """Send a crowd, and tell how it fared.

    Args:
        settings: what it does.
        json: file for the figures; ``-`` for stdout.
        report: file for a page.

    Returns:
        The exit code.
    """
    limit, needed = raise_limit(), settings.visitors * _EACH_VISITOR
    if limit < needed:
        print(f"This process may open {limit} files, and so large a crowd may need {needed}", file=sys.stderr)
    ending = CrowdEnd()
    crowd = Crowd(settings, ending)
    with _told_to_end(ending) as told, _shown(crowd, settings), suppress(asyncio.CancelledError):
        await crowd.come()
    interrupted = told.is_set()
    _tell(crowd.measures, sys.stderr if json == "-" else sys.stdout)
    if json is not None:
        text = json_text(document(crowd.measures, settings, __version__, interrupted=interrupted)) + "\n"
        if json == "-":
            print(text, end="")
        else:
            write_whole(Path(json), text.encode())
    if report is not None:
        page = report_page(crowd.measures, settings, interrupted=interrupted)
        write_whole(Path(report), page.encode("utf-8", "replace"))
    return INTERRUPTED if interrupted else OK if crowd.measures.well else FAILED


@contextmanager
def _told_to_end(ending: CrowdEnd) -> Iterator[asyncio.Event]:
    """End the crowd at Ctrl-C or SIGTERM, and at once at the second one; set what is yielded then."""
    loop, told, task = asyncio.get_running_loop(), asyncio.Event(), asyncio.current_task()
    assert task is not None

    def heard() -> None:
        if told.is_set():
            task.cancel()
        told.set()
        ending.end()

    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, heard)
    try:
        yield told
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


@contextmanager
def _shown(crowd: Crowd, settings: LoadSettings) -> Iterator[None]:
    """Show progress on stderr: on a terminal one line that changes, else a line now and then."""
    stream = raw(sys.stderr)
    sink = Sink(stream)
    live = stream.isatty() and os.environ.get("TERM") != "dumb"

    def show() -> None:
        text = progress(crowd, settings)
        if live:
            sink.write(f"\r{text[: shutil.get_terminal_size().columns - 1]}\x1b[K")
            sink.flush()
        else:
            sink.line(text)

    try:
        with every(OFTEN if live else SELDOM, show):
            yield
    finally:
        if live:
            sink.write("\r\x1b[K")
        sink.drain(hurried=True)


def progress(crowd: Crowd, settings: LoadSettings) -> str:
    """Return how things stand in one line."""
    standing, measures = crowd.standing, crowd.measures
    parts = [
        f"{clock(standing.at)} of {clock(settings.seconds)}",
        f"{len(measures.came)} of {settings.visitors} came",
        f"{standing.arriving} on the way",
        f"{standing.queued} in the queue",
        f"{standing.inside} at work",
        counted(len(measures.failures), "error"),
    ]
    recent = [sample.seconds for sample in measures.samples.get(Step.EXECUTE, ())[-100:]]
    if recent:
        parts.append(f"cells up to {span(max(recent))}")
    return "  ".join(parts)


def _tell(measures: Measures, stream: TextIO) -> None:
    """Print the table, the errors, and what is to be known about them."""
    screen = Screen.of(stream)
    rows = [
        [TITLES[row.step], str(row.count), *map(span, (row.p50, row.p95, row.p99, row.max)), str(row.errors)]
        for row in figures(measures)
    ]
    titles = ["step", "n", "p50", "p95", "p99", "max", "errors"]
    print(*_right(titles, rows, screen), sep="\n", file=stream)
    print(file=stream)
    print(screen.wrapped(verdict(measures)), file=stream)
    for each in groups(measures.failures):
        status = each.trouble.status or "no answer"
        where = f"{TITLES[each.step]}, by {each.visitors} of the visitors, first after {each.first:.0f} s"
        print(f"  {each.count} x {where}: {status} {each.trouble.text}", file=stream)
    for text in sorted({each.text for each in measures.refused.values()}):
        print(f"  refused: {text}", file=stream)
    for remark in remarks(measures):
        print(screen.wrapped(remark), file=stream)


def _right(titles: list[str], rows: list[list[str]], screen: Screen) -> list[str]:
    """Return a table whose figures end below each other."""
    widths = [max(len(row[at]) for row in [titles, *rows]) for at in range(len(titles))]
    moved = [
        [text if not at else text.rjust(widths[at]) for at, text in enumerate(row)] for row in [titles, *rows]
    ]
    return lines([Column(title) for title in moved[0]], moved[1:], screen)
