"""One notebook and the cache: what is looked up before it runs, and what is kept afterwards."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.errors import MoorageError
from moorage.json_types import JsonMapping, JsonObject
from moorage.notebooks.cache import environment as recorded
from moorage.notebooks.cache import reads
from moorage.notebooks.cache.cache import ResultCache
from moorage.notebooks.cache.environment import PROBE, Run, RunEnvironment
from moorage.notebooks.cache.recipe import Recipe, ambient, content_of, run_cells
from moorage.notebooks.cache.store import FileState
from moorage.notebooks.cache.stored import Entry, FastHit, Ran, applied
from moorage.notebooks.cache.watching import Watching
from moorage.notebooks.documents.document import Document
from moorage.notebooks.events import Note
from moorage.notebooks.execution.context import Context
from moorage.notebooks.execution.input_files import input_files
from moorage.notebooks.execution.kernels import kernel_names, lasting_name, named_contents
from moorage.notebooks.planning.item import Item
from moorage.notebooks.planning.settings import RenderSettings
from moorage.notebooks.relative import named_from
from moorage.tasks import in_thread
from moorage.version import __version__

if TYPE_CHECKING:
    from moorage.discovery.kernelspec import KernelSpec
    from moorage.kernel.kernel import Kernel
    from moorage.kernel.request import Receiver

_PROBE_SECONDS = 10.0


class CachedResult:
    """The result of one notebook in the cache: looked up before it runs, kept after it did."""

    def __init__(self, context: Context, item: Item, cache: ResultCache, files: Sequence[Path] = ()) -> None:
        """Describe what is to be rendered; nothing is read yet.

        Args:
            context: the run.
            item: the notebook.
            cache: where results are kept.
            files: what the notebook says it reads, see :func:`read_inputs`.
        """
        self._context = context
        self._item = item
        self._cache = cache
        self._recipe = _recipe(context, item, files)

    def finished(self) -> FastHit | None:
        """Put the finished documents in place if they are known; None when they are not."""
        hit = None if self._context.settings.force else self._cache.lookup_fast(self._recipe)
        if hit is None or not self._restore(hit, self._item.documents):
            return None
        return hit

    def outputs(self, document: Document, spec: KernelSpec) -> tuple[Entry, JsonObject] | None:
        """Return the stored outputs for this code, and the notebook with them; None when there are none."""
        if self._context.settings.force:
            return None
        entry = self._cache.lookup(self._recipe, document.notebook, lasting_name(spec))
        if entry is None or not self._restore(entry, {}):
            return None
        return entry, applied(entry, document.notebook)

    def renew(self, entry: Entry, documents: Mapping[str, bytes], shown: Mapping[str, FileState]) -> None:
        """Keep the documents made from stored outputs."""
        self._note(self._cache.renew(entry, documents, self._item.documents, shown))

    def shown(self, notebook: JsonMapping) -> dict[str, FileState]:
        """Return what the files that its pages are made with hold; to be taken before they are made."""
        if not _has_pages(self._context):
            return {}
        from moorage.notebooks.output.shown import shown_files

        files = shown_files(notebook, self._item.directory)
        return self._cache.shown((*files, *self._context.results.tools.templates()))

    def inputs(self) -> dict[str, FileState]:
        """Return what the declared inputs hold; to be taken before the first cell."""
        return self._cache.inputs(self._recipe)

    @asynccontextmanager
    async def watched(self, kernel: Kernel, receive: Receiver) -> AsyncIterator[Watching | None]:
        """Watch what a kernel reads from its first cell on; another language's is not watched.

        Yields None where there is no place for what its children say.
        """
        context, item = self._context, self._item
        folders = dict.fromkeys((context.folders.home, context.folders.root, item.directory))
        try:
            place = Watching(context.launching.warden.now.directory, folders)
        except OSError:
            yield None
            return
        with place as watching:
            if kernel.spec.language == "python":
                await _evaluate(kernel, watching.expression, receive)
            yield watching

    async def environment(
        self, kernel: Kernel, notebook: JsonMapping, watching: Watching | None, receive: Receiver
    ) -> RunEnvironment | str:
        """Ask the kernel what the notebook ran with; a sentence where that cannot be known.

        Args:
            kernel: the kernel it ran in.
            notebook: what ran.
            watching: of :meth:`watched`.
            receive: called with what the kernel publishes meanwhile.
        """
        if watching is None:
            return "there was no place to note what it reads"
        cache, item = self._cache, self._item
        python = kernel.spec.language == "python"
        answer = await _evaluate(kernel, PROBE, receive) if python else None
        run = Run(
            code=tuple(cell["source"] for cell in run_cells(notebook)),
            directory=item.directory,
            root=self._context.folders.home,
            started_ns=watching.started_ns,
            log=watching.log(),
            trusted=bool(item.settings.inputs),
        )
        if python:
            probe = recorded.read_probe(answer)
            said = reads.decoded(probe.reads if probe is not None else "", run.log)
            if not isinstance(said, str):
                await in_thread(lambda: cache.files.learn(reads.sizeable(said[1])))
            return recorded.of_python(probe, cache.files, cache.names, cache.distributions, run)
        program = kernel.spec.command(kernel.connection_file)[0]
        program = shutil.which(program) or program
        version = str(kernel.info.get("language_info", {}).get("version", ""))
        return recorded.of_program(program, version, cache.files, run)

    def ran(self, kernel: Kernel, environment: RunEnvironment | str, inputs: Mapping[str, FileState]) -> Ran:
        """Return what a run leaves to be stored, but for what it has written.

        Args:
            kernel: the kernel it ran in.
            environment: see :meth:`environment`.
            inputs: see :meth:`inputs`.
        """
        return Ran(lasting_name(kernel.spec), {}, environment, inputs=inputs)

    def store(self, notebook: JsonObject, ran: Ran) -> None:
        """Keep a result that went well."""
        self._note(self._cache.store(self._recipe, notebook, ran))

    def _restore(self, hit: FastHit | Entry, documents: Mapping[str, Path]) -> bool:
        item = self._item
        beside = item.file.output.parent
        # Artefacts belong beside the output, and at home too when they are waited for there.
        at_home = item.waited_for or item.settings.outputs
        folders = (beside, item.directory) if at_home else (beside,)
        return self._cache.restore(hit, documents, artifact_folders=folders) is not None

    def _note(self, reason: str) -> None:
        if reason:
            self._context.emit(Note("notice", f"not cached: {reason}", self._item.name))


async def _evaluate(kernel: Kernel, expression: str, receive: Receiver) -> JsonMapping | None:
    """Have a Python kernel evaluate something that leaves no trace; None when it does not answer."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            result = await kernel.client.execute(
                "", receive=receive, silent=True, store_history=False, expressions={"moorage": expression}
            )
    except (MoorageError, TimeoutError):
        return None
    return result.expressions.get("moorage")


async def read_inputs(item: Item, cache: ResultCache) -> tuple[Path, ...]:
    """Find and read the files that a notebook says it reads, so that no later look at them takes long.

    Returns:
        The files. Cancelling ends the reading.

    Raises:
        DocumentError: see :func:`moorage.notebooks.execution.input_files.input_files`.
    """
    if not item.settings.inputs and not item.settings.needs:
        return ()
    files = await in_thread(lambda: input_files(item.file.path, item.settings))
    await in_thread(lambda: cache.files.learn(files))
    return files


def _recipe(context: Context, item: Item, files: Sequence[Path]) -> Recipe:
    settings, own = context.settings, item.settings
    return Recipe(
        source=named_from(context.folders.home, item.file.path),
        content=content_of(item.data),
        kernel=own.kernel,
        params=dict(own.param),
        env={**ambient(context.launching.environ), **own.env, **_shown_on(settings)},
        isolate=settings.isolate,
        kernel_args=(*settings.kernel_arg, *map(repr, named_contents(settings.kernel_arg))),
        allow_errors=settings.allow_errors,
        inputs=tuple(named_from(context.folders.home, path) for path in files),
        artifacts=own.collected,
        display={
            "remove_cells": sorted(settings.remove_cells),
            "to": sorted(settings.to),
            "links": item.document_links,
            "moorage": __version__,
            "reading": context.results.tools.reading(item.file.path),
            "pages": context.results.tools.pages() if _has_pages(context) else {},
            # A kernel that was not here when the nearest one was taken may be here now.
            "kernels": kernel_names(),
        },
    )


def _has_pages(context: Context) -> bool:
    return any(to != "ipynb" for to in context.settings.to)


def _shown_on(settings: RenderSettings) -> dict[str, str]:
    """Return what a virtual display changes in the environment; its number does not matter."""
    return {"DISPLAY": "virtual"} if settings.display else {}
