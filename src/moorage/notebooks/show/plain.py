"""Progress as lines: for pipes, logs and ``--plain``; and ``--quiet``, which shows failures alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from moorage.notebooks.events import (
    GOOD,
    INTERRUPTED,
    Abandoned,
    Event,
    FilesWritten,
    Interrupted,
    KernelStandstill,
    Note,
    NotebookFinished,
    NotebookRetried,
    RunFinished,
    RunStarted,
)
from moorage.notebooks.show import ansi
from moorage.notebooks.show.failed_notebook import failure_block, message
from moorage.notebooks.show.figures import counted, duration, size
from moorage.notebooks.show.gauge import LONGER
from moorage.notebooks.show.tally import RunningNotebook, Tally

if TYPE_CHECKING:
    from moorage.notebooks.show.sink import Sink

_NAMED: Final = 3
"""So many of the notebooks that an interrupted run waits for are named; more are counted."""
SIGN_OF_LIFE: Final = 30.0
"""Seconds of silence after which a log says what is still running."""


def summary_lines(tally: Tally, *, seconds: float, interrupted: bool) -> list[str]:
    """Return how a run went: the total, and after an interruption what is kept.

    What did not end well was told when it ended, in full.

    Args:
        tally: the run.
        seconds: its wall time.
        interrupted: whether the user stopped it.
    """
    counts = tally.counts
    parts = [f"{counts[status]} {status}" for status in ("ok", "cached") if counts[status]]
    parts += [f"{counts[s]} {s}" for s in ("failed", "timeout", "died", "skipped") if counts[s]]
    missing = tally.total - sum(counts.values())
    if missing > 0:
        parts.append(f"{missing} not run")
    total = f"{counted(tally.total, 'notebook')} in {duration(seconds)}"
    lines = [f"{total}: {', '.join(parts)}" if parts else total]
    return [*lines, f"interrupted: {tally.kept}"] if interrupted else lines


def stopping_line(event: Interrupted) -> str:
    """Return what a run says that was told to end: what it waits for, and how to leave without waiting."""
    pressed = event.by == "SIGINT"
    names = [ansi.one_line(name) for name in event.running[:_NAMED]]
    more = len(event.running) - len(names)
    names += [f"{more} more"] if more > 0 else []
    waits = f"waiting for {counted(len(event.running), 'kernel')} to end ({', '.join(names)})"
    return (
        f"{'interrupted' if pressed else f'{event.by} was sent'}: "
        f"{waits if event.running else 'nothing more is started'}. "
        f"{'Ctrl-C again' if pressed else 'A second one'} ends everything at once"
    )


def standstill_line(event: KernelStandstill) -> str:
    """Return what is said of a kernel that was found stopped, or running again."""
    how = f"is {event.why} and waited for: {event.do}" if event.why else "goes on"
    return f"{event.source}: its kernel {how}"


def files_line(event: FilesWritten) -> str:
    """Return the last line of a run, which tells where results and report are; empty where there are none."""
    files = [*([("results", event.results)] if event.results else []), *event.files]
    return "  ".join(f"{name}: {ansi.one_line(path)}" for name, path in files)


class Plain:
    """One line per finished notebook, failures in full, a sign of life when nothing ends for a while.

    Args:
        sink: where to write.
        colour: whether escape sequences may be written.
    """

    def __init__(self, sink: Sink, *, colour: bool = False) -> None:
        self._sink = sink
        self._colour = colour
        self._tally = Tally()
        self._spoke = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._sink.drain(hurried=exc_info[0] is not None)

    def handle(self, event: Event) -> None:
        """Show one event."""
        self._tally.handle(event)
        match event:
            case RunStarted():
                total = counted(len(event.sources), "notebook")
                self._sink.line(f"rendering {total}, {event.jobs} at once")
            case NotebookFinished():
                self._spoke = event.at
                self._finished(event)
            case NotebookRetried():
                self._spoke = event.at
                self._sink.line(f"retry   {ansi.one_line(event.source)}: {ansi.one_line(event.reason)}")
            case Note() | KernelStandstill():
                self._sink.line(_note_line(event))
            case RunFinished():
                self._sink.hurried = event.interrupted
                for text in summary_lines(self._tally, seconds=event.at, interrupted=event.interrupted):
                    self._sink.line(text)
            case FilesWritten() if text := files_line(event):
                self._sink.line(text)
            case Interrupted():
                self._sink.line(stopping_line(event))
            case Abandoned():
                self._sink.line(f"ended at once: {self._tally.kept}")
                self._sink.drain(hurried=True)
            case _:
                pass

    def tick(self, now: float) -> None:
        """Say what is still running when nothing was said for half a minute.

        Args:
            now: seconds since the run began.
        """
        self._sink.flush()
        if now - self._spoke < SIGN_OF_LIFE or not self._tally.running:
            return
        self._spoke = now
        running = ", ".join(_still(entry, now) for entry in self._tally.running.values())
        done = f"{len(self._tally.outcomes)}/{self._tally.total} done"
        left = self._tally.remaining(now)
        about = "" if left is None else f", about {duration(left)} left" if left > 0 else f", {LONGER}"
        self._sink.line(f"still running after {duration(now)} ({done}{about}): {running}")

    def _finished(self, event: NotebookFinished) -> None:
        outcome = event.outcome
        if outcome.status in GOOD:
            self._sink.line(
                f"{outcome.status:<6} {duration(outcome.seconds):>10}  {ansi.one_line(outcome.source)}"
            )
        elif outcome.status == "skipped":
            if outcome.reason == INTERRUPTED:  # all of them are told in one line at the end
                return
            self._sink.line(f"skipped {'':>9}  {ansi.one_line(outcome.source)}: {message(outcome)}")
        else:
            self._sink.line(
                failure_block(
                    outcome, root=self._tally.plan.root, symbols=self._sink.symbols, colour=self._colour
                )
            )


class Quiet:
    """Failures in full and nothing else, but for what an interruption leaves.

    Args:
        sink: where to write.
        colour: whether escape sequences may be written.
    """

    def __init__(self, sink: Sink, *, colour: bool = False) -> None:
        self._sink = sink
        self._colour = colour
        self._tally = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._sink.drain(hurried=exc_info[0] is not None)

    def handle(self, event: Event) -> None:
        """Show one event if it is a failure, or what is kept of a run that was stopped."""
        self._tally.handle(event)
        match event:
            case NotebookFinished() if event.outcome.status not in GOOD:
                if event.outcome.reason != INTERRUPTED:
                    root = self._tally.plan.root
                    symbols = self._sink.symbols
                    block = failure_block(event.outcome, root=root, symbols=symbols, colour=self._colour)
                    self._sink.line(block)
            case Interrupted():
                self._sink.line(stopping_line(event))
            case Abandoned():
                self._sink.line(f"ended at once: {self._tally.kept}")
                self._sink.drain(hurried=True)
            case RunFinished() if event.interrupted:
                self._sink.hurried = True
                self._sink.line(f"interrupted: {self._tally.kept}")
            case _:
                pass

    def tick(self, now: float) -> None:  # noqa: ARG002 - the signature of presenters
        """Hand on what a slow reader had not taken; to say nothing is what was asked for."""
        self._sink.flush()


def _note_line(event: Note | KernelStandstill) -> str:
    if isinstance(event, KernelStandstill):
        return f"{'warning' if event.why else 'notice'}: {ansi.one_line(standstill_line(event))}"
    about = f"{ansi.one_line(event.source)}: " if event.source else ""
    return f"{event.level}: {about}{ansi.one_line(event.text)}"


def _still(entry: RunningNotebook, now: float) -> str:
    cell = f" cell {entry.index}/{entry.total}" if entry.total else " starting"
    cell += f", {entry.stopped}" if entry.stopped else ""
    memory = f", {size(entry.memory)}" if entry.memory is not None else ""
    return f"{ansi.one_line(entry.source)}{cell} ({duration(now - entry.started)}{memory})"
