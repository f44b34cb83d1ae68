"""Progress in a terminal: one line per running notebook, a total below, results scrolling above."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final, Self, cast

from moorage.notebooks.events import (
    INTERRUPTED,
    Abandoned,
    CellStarted,
    Event,
    FilesWritten,
    Interrupted,
    KernelStandstill,
    Note,
    NotebookFinished,
    NotebookRetried,
    NotebookStarted,
    Outcome,
    Preparing,
    RunFinished,
    RunStarted,
)
from moorage.notebooks.show import ansi
from moorage.notebooks.show.area import Area
from moorage.notebooks.show.failed_notebook import failure_block, message
from moorage.notebooks.show.figures import counted, duration
from moorage.notebooks.show.gauge import more_line, preparing_line, running_line, total_line
from moorage.notebooks.show.plain import files_line, standstill_line, stopping_line, summary_lines
from moorage.notebooks.show.tally import Tally

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from moorage.notebooks.show.sink import Sink

_PERIOD: Final = 0.1
"""Seconds between two drawings at least: more often flickers over ssh and costs CPU."""
_NAMED_CACHED: Final = 3
"""Up to so many cached notebooks are named; more are counted."""


class Live:
    """The live display. It draws only when :meth:`tick` or :meth:`handle` is called: no thread.

    Args:
        sink: a terminal.
        colour: whether to use colours.
        console: the rich console to draw on, for a size other than the terminal's.
    """

    def __init__(self, sink: Sink, *, colour: bool = True, console: Console | None = None) -> None:
        from rich.console import Console as RichConsole

        self._console = console or RichConsole(
            file=cast("IO[str]", sink),
            force_terminal=True,
            no_color=not colour,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._area = Area(self._console)
        self._colour = colour
        self._sink = sink
        self._symbols = sink.symbols
        self._tally = Tally()
        self._above: list[Text] = []
        self._cached: list[str] = []
        self._preparing = ""
        self._longest = 0
        self._now = 0.0
        self._drawn = -_PERIOD

    def __enter__(self) -> Self:
        self._area.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()
        self._sink.drain(hurried=exc_info[0] is not None)

    def handle(self, event: Event) -> None:
        """Take one event in; failures are printed at once, the rest at the next drawing."""
        from rich.cells import cell_len

        self._tally.handle(event)
        match event:
            case Preparing():
                self._preparing = event.text
                self._draw()
            case RunStarted():
                self._preparing = ""
                self._longest = max((cell_len(name) for name in event.sources), default=0)
            case NotebookStarted() | CellStarted():
                self._now = max(self._now, event.at)
            case NotebookFinished():
                self._now = max(self._now, event.at)
                self._finished(event.outcome)
            case NotebookRetried():
                self._say(self._symbols.retry, "yellow", f"{event.source}  {event.reason}")
            case KernelStandstill():
                mark, style = ("!", "yellow") if event.why else ("i", "dim")
                self._say(mark, style, standstill_line(event))
            case Note():
                about = f"{event.source}: " if event.source else ""
                style = "yellow" if event.level == "warning" else "dim"
                self._say("!" if event.level == "warning" else "i", style, about + event.text)
            case _:
                self._ending(event)

    def _ending(self, event: Event) -> None:
        """Take in what tells of the end of the run."""
        from rich.text import Text

        match event:
            case Interrupted():
                self._say("!", "yellow", stopping_line(event))
                self._draw()
            case Abandoned():
                self._end([f"ended at once: {self._tally.kept}"], "bold red")
                self._sink.drain(hurried=True)
            case RunFinished():
                self._sink.hurried = event.interrupted
                lines = summary_lines(self._tally, seconds=event.at, interrupted=event.interrupted)
                well = not (self._tally.bad or event.interrupted)
                self._end(lines, "bold green" if well else "bold red")
            case FilesWritten() if text := files_line(event):
                self._area.print(Text(text))
            case _:
                pass

    def tick(self, now: float) -> None:
        """Draw, unless that was done less than a tenth of a second ago.

        Args:
            now: seconds since the run began.
        """
        self._now = max(self._now, now)
        self._sink.flush()
        # A terminal that is stopped, or slow, shall not find all that it missed.
        if now - self._drawn >= _PERIOD and not self._sink.behind:
            self._drawn = now
            self._draw()

    def _finished(self, outcome: Outcome) -> None:
        if outcome.status == "cached":
            self._cached.append(outcome.source)
        elif outcome.status == "ok":
            self._say(self._symbols.good, "green", f"{outcome.source}  ", duration(outcome.seconds))
        elif outcome.reason == INTERRUPTED:  # all of them are told in one line at the end
            pass
        elif outcome.status == "skipped":
            self._say(self._symbols.skipped, "dim", f"{outcome.source}  ", f"skipped: {message(outcome)}")
        else:
            self._failed(outcome)

    def _failed(self, outcome: Outcome) -> None:
        from rich.text import Text

        block = failure_block(outcome, root=self._tally.plan.root, symbols=self._symbols, colour=self._colour)
        self._name_cached()
        self._above.append(Text.from_ansi(f"\n{block}\n"))
        self._draw()

    def _say(self, mark: str, style: str, text: str, faint: str = "") -> None:
        from rich.text import Text

        self._name_cached()
        line = Text.assemble((f"{mark} ", style), ansi.one_line(text), (ansi.one_line(faint), "dim"))
        self._above.append(line)

    def _name_cached(self) -> None:
        """Move the cached notebooks met since the last line into the lines above."""
        from rich.text import Text

        names, self._cached = self._cached, []
        mark = (f"{self._symbols.cached} ", "cyan")
        if len(names) > _NAMED_CACHED:
            self._above.append(Text.assemble(mark, (f"{counted(len(names), 'notebook')} cached", "dim")))
        else:
            self._above += [Text.assemble(mark, ansi.one_line(name), ("  cached", "dim")) for name in names]

    def _draw(self) -> None:
        above, self._above = self._above, []
        self._area.draw(self._lines(self._console.width, self._console.height), above)

    def _close(self) -> None:
        """Leave nothing but what scrolls, and the cursor."""
        self._name_cached()
        above, self._above = self._above, []
        self._area.draw([], above)
        self._area.close()

    def _end(self, lines: list[str], style: str) -> None:
        from rich.text import Text

        self._close()
        self._area.print(*(Text(line, style) for line in lines))

    def _lines(self, width: int, height: int) -> list[Text]:
        """Return the live lines below a blank one, none wider than ``width``, with room for a few results."""
        from rich.text import Text

        if not self._tally.plan.sources:
            return (
                [preparing_line(self._preparing, self._now, width, self._symbols)] if self._preparing else []
            )
        entries = list(self._tally.running.values())
        room = max(1, height - 5)
        shown = entries if len(entries) <= room else entries[: room - 1]
        lines = [running_line(entry, self._now, width, self._symbols, self._longest) for entry in shown]
        if len(shown) < len(entries):
            lines.append(more_line(len(entries) - len(shown), self._symbols))
        return [Text(""), *lines, total_line(self._tally, self._now, width, self._symbols)]
