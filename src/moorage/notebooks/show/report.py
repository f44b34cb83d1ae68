"""``--report report.html`` and the index of ``--to html``: pages that need nothing but themselves."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from msgspec import Struct

from moorage.errors import MissingExtra
from moorage.installed import install_line
from moorage.notebooks.events import GOOD, Status
from moorage.notebooks.output.atomic import write_whole
from moorage.notebooks.show import ansi
from moorage.notebooks.show.cards import make_cards
from moorage.notebooks.show.figures import counted, duration
from moorage.notebooks.show.timeline import Timeline, timeline
from moorage.stylesheet import stylesheet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.notebooks.show.record import RunRecord

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_LANE, _THIN_LANE, _MANY_LANES = 26, 14, 12
"""Pixels from one worker's lane to the next, and from how many workers on it is the smaller number."""


class About(Struct, frozen=True):
    """What a page says about its origin.

    Attributes:
        project: the name at the top.
        version: moorage's version.
        made: when the run ended; left out when None.
    """

    project: str
    version: str
    made: datetime | None = None


def write_report(
    page: Path,
    record: RunRecord,
    about: About,
    *,
    executed: Mapping[str, Path] | None = None,
    write: Callable[[Path, bytes], None] = write_whole,
) -> None:
    """Write the report of a run: totals, failures, a timeline and a card per notebook, in one file.

    Args:
        page: the file to write.
        record: the finished run.
        about: the page's origin.
        executed: the executed notebook (ipynb) of a source, where that is not its ``Outcome.output``.
        write: called with the page's path and its bytes.

    Raises:
        MissingExtra: Jinja is not installed.
        OutputError: the file cannot be written.
    """
    text = report_page(page, record, about, executed=executed or {})
    write(page, text.encode("utf-8", "replace"))


def write_index(
    page: Path,
    record: RunRecord,
    about: About,
    *,
    executed: Mapping[str, Path] | None = None,
    write: Callable[[Path, bytes], None] = write_whole,
) -> None:
    """Write the index of all rendered notebooks, whose cards lead to their HTML pages.

    Takes and raises what :func:`write_report` does.
    """
    text = index_page(page, record, about, executed=executed or {})
    write(page, text.encode("utf-8", "replace"))


def report_page(page: Path, record: RunRecord, about: About, *, executed: Mapping[str, Path]) -> str:
    """Return the HTML of a report that will stand at ``page``."""
    outcomes = record.outcomes
    cards = make_cards(outcomes, page, root=record.plan.root, out=record.plan.out, executed=executed)
    work = sum(done.seconds for done in outcomes if done.started is not None)
    work += sum(attempt.stop - attempt.start for attempt in record.lost)
    bars = timeline(record, {card.source: card.anchor for card in cards})
    return _page(
        "report.html.j2",
        about,
        cards=cards,
        totals=_totals(record),
        bad=sum(done.status not in GOOD and done.status != "skipped" for done in outcomes),
        skipped=sum(done.status == "skipped" for done in outcomes),
        record=record,
        work=work,
        saved=work - record.seconds,
        speedup=work / record.seconds if record.seconds > 0 else 0.0,
        timeline=bars,
        lane=_LANE if bars.lanes <= _MANY_LANES else _THIN_LANE,
        legend=_legend(bars),
    )


def index_page(page: Path, record: RunRecord, about: About, *, executed: Mapping[str, Path]) -> str:
    """Return the HTML of an index that will stand at ``page``."""
    cards = make_cards(record.outcomes, page, root=record.plan.root, out=record.plan.out, executed=executed)
    return _page("index.html.j2", about, cards=cards, totals=_totals(record), record=record)


def _totals(record: RunRecord) -> list[tuple[Status, int]]:
    counts = Counter(outcome.status for outcome in record.outcomes)
    return [(status, counts[status]) for status in STATUSES if counts[status]]


def _legend(bars: Timeline) -> list[tuple[str, str]]:
    """Return each kind of bar there is, and what it means."""
    kinds = {bar.kind for bar in bars.bars}
    known: list[tuple[str, str]] = [(status, status) for status in STATUSES]
    return [each for each in [*known, ("retried", "tried again")] if each[0] in kinds]


def _page(template: str, about: About, **values: Any) -> str:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingExtra("a report needs Jinja", do=f"Type: {install_line('render')}") from error
    # Everything a notebook says is escaped by default; the templates mark the one exception.
    environment = Environment(
        loader=PackageLoader("moorage.notebooks.show", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "counted": counted, "plain": ansi.strip}
    return environment.get_template(template).render(about=about, stylesheet=stylesheet(), **values)
