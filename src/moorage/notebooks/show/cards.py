"""Notebooks as cards on a page, shared by the report and the index."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from msgspec import Struct

from moorage.notebooks.events import GOOD, Outcome
from moorage.notebooks.show import ansi
from moorage.notebooks.show.failed_notebook import (
    SourceLine,
    headline,
    message,
    source_lines,
    to_open,
    traceback_text,
)
from moorage.notebooks.show.figures import duration, size
from moorage.notebooks.show.gist import Gist, Picture, read_gist, reduced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PICTURE_BUDGET: Final = 12_000_000
"""Bytes all thumbnails of a page may take."""
_LARGEST_PICTURE: Final = 300_000
_SMALLEST_SHARE: Final = 20_000
FAILURE_BUDGET: Final = 4_000_000
"""Characters all sources and tracebacks of a page may take."""
_LONGEST_TRACEBACK: Final = 40_000
_SOURCE_LINES: Final = 400
_ARTIFACTS: Final = 5


class PageLink(Struct, frozen=True):
    """A file of a notebook: what it is called on the page, and where it is from there."""

    label: str
    href: str


class Detail(Struct, frozen=True):
    """Everything about a failure: see :mod:`moorage.notebooks.show.failed_notebook`.

    Attributes:
        traceback: HTML, already escaped.
        cut: what was left out for want of room, in words, or empty.
    """

    source: tuple[SourceLine, ...]
    traceback: str
    files: tuple[str, ...]
    cut: str = ""


class Card(Struct, frozen=True):
    """One notebook on a page; every text is plain and for the template to escape.

    Attributes:
        anchor: its id on the page.
        folder, file: its source path in two parts.
        facts: (name, value) pairs.
        page: its HTML page, if there is one.
        placeholder: words where a picture would be.
    """

    anchor: str
    source: str
    folder: str
    file: str
    title: str
    status: str
    headline: str
    message: str
    facts: tuple[tuple[str, str], ...]
    links: tuple[PageLink, ...]
    page: PageLink | None
    picture: str
    placeholder: str
    detail: Detail | None


def relative(path: str | Path, page: Path) -> str:
    """Return ``path`` as a relative URL from ``page``; nothing in a name can make another scheme of it."""
    way = os.path.relpath(Path(path).absolute(), page.absolute().parent)
    return quote(os.fsencode(way))


def make_cards(
    outcomes: Sequence[Outcome], page: Path, *, root: str, out: str, executed: Mapping[str, Path]
) -> list[Card]:
    """Return the cards of ``outcomes`` for a page, within the page's budgets.

    Args:
        outcomes: notebooks that are done.
        page: the file that will hold the cards; links are relative to it.
        root: folder of the sources.
        out: folder of the outputs; artefacts are relative to it.
        executed: the executed notebook (ipynb) of a source, where that is not its output.
    """
    kernels = {done.kernel for done in outcomes if done.kernel}
    maker = _Maker(page, root, out, share=PICTURE_BUDGET // max(1, len(outcomes)), mixed=len(kernels) > 1)
    return [
        maker.card(done, at, executed.get(done.source) or (Path(done.output) if done.output else None))
        for at, done in enumerate(outcomes, 1)
    ]


class _Maker:
    """Makes cards while the budgets last."""

    def __init__(self, page: Path, root: str, out: str, *, share: int, mixed: bool) -> None:
        self._page = page
        self._root = root
        self._out = out
        self._mixed = mixed
        self._limit = min(_LARGEST_PICTURE, max(_SMALLEST_SHARE, share))
        self._pictures = PICTURE_BUDGET
        self._failures = FAILURE_BUDGET

    def card(self, outcome: Outcome, number: int, notebook: Path | None) -> Card:
        gist = read_gist(notebook) if notebook is not None else Gist()
        folder, slash, file = ansi.strip(outcome.source).rpartition("/")
        picture = self._picture(gist.picture) if gist.picture is not None else ""
        bad = outcome.status not in GOOD
        words = gist.words if not bad else message(outcome)[:280]
        if gist.picture is not None and not picture and not bad:
            words = "The first plot is too large to show here."
        pages = [name for name in outcome.exports if name.endswith(".html")]
        return Card(
            anchor=f"notebook-{number}",
            source=ansi.strip(outcome.source),
            folder=folder + slash,
            file=file,
            title=gist.title or Path(file).stem or file,
            status=outcome.status,
            headline=headline(outcome),
            message=message(outcome)[:1000],
            facts=_facts(outcome, mixed=self._mixed),
            links=self._links(outcome),
            page=PageLink("html", relative(pages[0], self._page)) if pages else None,
            picture=picture,
            placeholder=words,
            detail=self._detail(outcome) if bad and outcome.status != "skipped" else None,
        )

    def _picture(self, picture: Picture) -> str:
        kept = reduced(picture, self._limit)
        if kept is None and len(picture.data) <= _LARGEST_PICTURE:
            kept = picture
        if kept is None or len(kept.data) > self._pictures:
            return ""
        self._pictures -= len(kept.data)
        return kept.uri

    def _links(self, outcome: Outcome) -> tuple[PageLink, ...]:
        written = [*([outcome.output] if outcome.output else []), *outcome.exports]
        links = [
            PageLink(Path(name).suffix.lstrip(".") or name, relative(name, self._page)) for name in written
        ]
        for name in outcome.artifacts[:_ARTIFACTS]:
            label = ansi.strip(name.rsplit("/", 1)[-1])
            links.append(PageLink(label, relative(Path(self._out, name), self._page)))
        more = len(outcome.artifacts) - _ARTIFACTS
        if more > 0:
            links.append(PageLink(f"{more} more artefacts", relative(self._out or ".", self._page)))
        return tuple(links)

    def _detail(self, outcome: Outcome) -> Detail:
        source = source_lines(outcome)
        raised = next((at for at, line in enumerate(source) if line.raised), 0)
        start = max(0, min(raised - _SOURCE_LINES // 2, len(source) - _SOURCE_LINES))
        shown = source[start : start + _SOURCE_LINES]
        text = traceback_text(outcome, colour=True)
        cut: list[str] = []
        if len(shown) < len(source):
            cut.append(f"{len(source) - len(shown)} lines of the cell")
        if len(text) > _LONGEST_TRACEBACK:
            cut.append(f"{len(text) - _LONGEST_TRACEBACK} characters in the middle of the traceback")
            text = f"{text[: _LONGEST_TRACEBACK // 2]}\n…\n{text[-_LONGEST_TRACEBACK // 2 :]}"
        traceback = ansi.to_html(text)
        taken = len(traceback) + sum(len(line.text) for line in shown)
        files = tuple(to_open(outcome, self._root))
        if taken > self._failures:
            return Detail((), "", files, "the cell and the traceback (many failures fill this page)")
        self._failures -= taken
        return Detail(tuple(shown), traceback, files, " and ".join(cut))


def _facts(outcome: Outcome, *, mixed: bool) -> tuple[tuple[str, str], ...]:
    facts: list[tuple[str, str]] = []
    if outcome.attempts:
        facts.append(("time", duration(outcome.seconds)))
    if outcome.cells:
        whole = outcome.status in GOOD or outcome.cells_done == outcome.cells
        done = "" if whole else f"{outcome.cells_done}/"
        facts.append(("cells", f"{done}{outcome.cells}"))
    if outcome.peak_memory is not None:
        facts.append(("memory", size(outcome.peak_memory)))
    if outcome.attempts > 1:
        facts.append(("attempts", str(outcome.attempts)))
    if outcome.kernel and mixed:
        facts.append(("kernel", ansi.strip(outcome.kernel)))
    return tuple(facts)
