"""Putting the result of one notebook in place: the document, its pages, its artefacts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec.structs import replace

from moorage.errors import MoorageError
from moorage.json_types import JsonMapping
from moorage.notebooks.documents.document import dumps
from moorage.notebooks.documents.references import retargeted
from moorage.notebooks.documents.tags import runnable
from moorage.notebooks.events import Failure, Outcome
from moorage.notebooks.execution.context import Context
from moorage.notebooks.output import artifacts
from moorage.notebooks.output.artifacts import Snapshot
from moorage.notebooks.planning.item import Item
from moorage.notebooks.relative import below
from moorage.regular import MOST_DOCUMENT, read_regular
from moorage.tasks import in_thread

_PAGES: Final[tuple[Literal["html", "md"], ...]] = ("html", "md")


class Publisher:
    """Writes what one notebook gave. All files appear whole or not at all."""

    def __init__(self, context: Context, item: Item) -> None:
        self._context = context
        self._item = item
        self._patterns = item.settings.collected
        self._before: Snapshot | None = None
        self._collected: list[str] = []

    @property
    def waits(self) -> bool:
        """Whether files that may still appear while the kernel ends matter."""
        return bool(self._item.waited_for or self._patterns)

    async def begin(self) -> None:
        """Look at what is there before the notebook runs. Raises UsageError for an impossible pattern."""
        if self._patterns:
            context = self._context
            context.results.conflicts.began(self._item.name, self._item.data.decode(errors="replace"))
            exclude = [context.folders.out] if context.folders.out != context.folders.root else []
            self._before = await in_thread(
                lambda: artifacts.snapshot(
                    self._item.directory, self._patterns, root=context.folders.root, exclude=exclude
                )
            )

    def write(self, notebook: JsonMapping) -> bytes:
        """Write the notebook and return its bytes. Raises OutputError."""
        data = dumps(retargeted(notebook, self._item.document_links.get("ipynb", {})))
        self._context.results.writer.put(self._item.documents["ipynb"], data)
        return data

    async def export(self, data: bytes) -> dict[str, bytes]:
        """Make the pages that are wanted and return the bytes of the documents that stand alone.

        Raises:
            OutputError: a page cannot be made or written.
        """
        context, documents = self._context, self._item.documents
        alone = {"ipynb": data}
        for to in (each for each in _PAGES if each in documents):
            written = await context.results.exporter.convert(
                documents["ipynb"],
                to,
                documents[to],
                folder=self._item.directory,
                writer=context.results.writer,
                remove_cells=context.settings.remove_cells,
                links=self._item.document_links.get(to, {}),
            )
            if len(written) == 1:
                alone[to] = read_regular(written[0], MOST_DOCUMENT)
        return alone

    async def collect(self) -> tuple[dict[str, Path], tuple[str, ...]]:
        """Copy the artefacts beside the output.

        Returns:
            The files the notebook made, by their path relative to its directory; and the declared outputs
            it did not make.

        Raises:
            OutputError: a file cannot be read or written.
        """
        if self._before is None:
            return {}, ()
        context, item = self._context, self._item
        before = self._before
        found = await in_thread(lambda: artifacts.compare(before, outputs=item.settings.outputs))
        folder = item.file.output.parent
        mine, notes = context.results.conflicts.claim(item.name, found.artifacts)
        placed = artifacts.collect(
            mine,
            folder,
            within=context.folders.out,
            put=context.results.writer.bring,
        )
        for artifact, path in zip(mine, placed, strict=True):
            notes += context.results.conflicts.placed(item.name, artifact, path)
        self._collected += [os.path.relpath(path, context.folders.out) for path in placed]  # noqa: ASYNC240 - names
        for note in notes:
            context.emit(note)
        return {artifact.name: artifact.path for artifact in mine}, found.missing

    def cached(self, kernel: str, cells: int, artifacts: Sequence[str]) -> Outcome:
        """Return the outcome of a notebook that came from the cache.

        Args:
            kernel: the kernel type that it ran in.
            cells: how many cells it has that run.
            artifacts: what came with it, by their path relative to the notebook's directory.
        """
        beside, out_dir = self._item.file.output.parent, self._context.folders.out
        self._collected += [os.path.relpath(below(beside, name), out_dir) for name in artifacts]
        return self.outcome(Outcome(self._item.name, None, "cached", kernel=kernel, cells=cells))

    def outcome(self, outcome: Outcome) -> Outcome:
        """Add what was written to an outcome: documents and artefacts as the user would name them."""
        shown = [self._context.folders.shown(self._item.documents[to]) for to in self._context.settings.to]
        names = tuple(sorted(self._collected))
        return replace(outcome, output=shown[0], exports=tuple(shown[1:]), artifacts=names)


def not_made(missing: Sequence[str], outcome: Outcome) -> Outcome:
    """Return the outcome of a notebook that did not make what it is declared to make."""
    if not missing or outcome.status != "ok":
        return outcome
    text = f"it is declared to make {', '.join(missing)} and did not"
    return replace(outcome, status="failed", error=Failure(0, "MissingOutput", text))


def unwritten(outcome: Outcome, error: MoorageError) -> Outcome:
    """Return the outcome of a notebook whose result could not be put in place."""
    return replace(outcome, status="failed", output=None, error=Failure(0, type(error).__name__, str(error)))


def count_cells(notebook: JsonMapping) -> int:
    """Return how many cells of a notebook are run."""
    return sum(1 for cell in notebook["cells"] if runnable(cell))
