"""One notebook of a run: from its source, by the cache or by a kernel, to files in place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from moorage.discovery.choice import choose_kernel
from moorage.discovery.kernelspec import KernelSpec, native
from moorage.errors import (
    DeadlineExceeded,
    DocumentError,
    KernelTypeNotFound,
    LaunchError,
    MissingExtra,
    MoorageError,
    OutputError,
    UsageError,
    WardenLost,
)
from moorage.json_types import JsonObject
from moorage.kernel.kernel import Kernel, not_forked
from moorage.kernel.launch import launch
from moorage.kernel.quirks import arguments
from moorage.notebooks.cache.environment import RunEnvironment
from moorage.notebooks.cache.stored import Ran
from moorage.notebooks.documents.document import Document, load
from moorage.notebooks.documents.parameters import inject_parameters, undeclared
from moorage.notebooks.documents.tags import without_cells
from moorage.notebooks.events import CellStarted, Failure, Note, Outcome
from moorage.notebooks.execution.cached_result import CachedResult, read_inputs
from moorage.notebooks.execution.context import Context
from moorage.notebooks.execution.executor import Execution, Executor, TimeLimits
from moorage.notebooks.execution.kernels import lasting_name, name_kernel
from moorage.notebooks.execution.prelaunch import launch_options
from moorage.notebooks.execution.publish import Publisher, count_cells, not_made, unwritten
from moorage.notebooks.planning.item import Item
from moorage.regular import MOST_DOCUMENT, read_regular
from moorage.tasks import in_thread

# What another attempt would meet again.
_FINAL = (DocumentError, KernelTypeNotFound, LaunchError, MissingExtra, OutputError, UsageError)

READ_SECONDS = 300.0
"""What parsing a document may take; 100,000 cells of text take half of it."""


@dataclass
class Attempt:
    """One attempt at one notebook, as the batch sees it.

    Attributes:
        worker: which of the parallel places it has, from 0.
        number: 1 for the first attempt at a notebook.
        kernel: its kernel while it has one: the batch looks at its memory.
        peak_memory: most bytes its kernel was seen to use.
    """

    worker: int
    number: int
    kernel: Kernel | None = None
    peak_memory: int | None = None


class Rendering:
    """One attempt at one notebook, from start to result."""

    def __init__(
        self, context: Context, item: Item, attempt: Attempt, release: Callable[[Outcome], None]
    ) -> None:
        """Describe the attempt.

        Args:
            context: the run.
            item: the notebook.
            attempt: which one; its kernel is noted there.
            release: called as soon as its slot may be used by another, with what is known by then.
        """
        item = _as_it_is_now(item)
        self.placed: Outcome | None = None
        """How it ended, as soon as everything is in place: its kernel may still be ending."""
        self._context = context
        self._item = item
        self._attempt = attempt
        self._release = release
        self._began = context.clock()
        self._cached_result: CachedResult | None = None
        self._publisher = Publisher(context, item)

    async def run(self) -> Outcome:
        """Do it.

        Returns:
            How it ended; what notebook, kernel or disk do wrong is in the outcome and not raised.
            Cancelling kills the kernel and leaves no half-written file.
        """
        try:
            if (settled := await self._settled()) is not None:
                return settled
            with self._context.launching.links.placed(self._item.links):
                return await self._run()
        except _FINAL as error:
            if isinstance(error, KernelTypeNotFound) and self._item.settings.optional:
                return Outcome(self._item.name, None, "skipped", reason=error.what, excused=True)
            return self._timed(unwritten(Outcome(self._item.name, None, "failed"), error))
        except MoorageError as error:
            if self.placed is not None:  # what its kernel does afterwards is of no account
                return self.placed
            # The kernel died or never answered, before the first cell.
            failure = Failure(0, type(error).__name__, str(error))
            outcome = Outcome(self._item.name, None, "died", error=failure, reason=str(error))
            return self._timed(replace(outcome, attempts=self._attempt.number))

    async def _settled(self) -> Outcome | None:
        """Return how it ended where that needs no kernel: by the cache, or because reading took too long."""
        if (cache := self._context.results.cache) is None:
            return None
        limit = self._limits().notebook
        try:
            async with asyncio.timeout(limit or None):
                files = await read_inputs(self._item, cache)
        except TimeoutError:
            reason = f"reading its inputs took longer than {limit:g} s"
            failure = Failure(0, DeadlineExceeded.__name__, reason)
            return self._timed(Outcome(self._item.name, None, "timeout", error=failure, reason=reason))
        self._cached_result = CachedResult(self._context, self._item, cache, files)
        if (hit := self._cached_result.finished()) is None:
            return None
        return self._cached(hit.record.kernel, hit.record.cells, tuple(hit.record.artifacts))

    async def _run(self) -> Outcome:
        await self._publisher.begin()
        loading = in_thread(lambda: load(self._item.file.path))
        # Should the kernel not start, what came of the text is not looked at.
        loading.add_done_callback(lambda done: done.cancelled() or done.exception())
        if (likely := self._likely_kernel()) is not None:
            # The text is parsed while the kernel it will most likely get is starting.
            async with self._kernel(likely) as kernel:
                document, spec = self._prepare(await self._read(loading))
                if spec == likely:
                    return await self._execute(document, kernel)
        else:
            document, spec = self._prepare(await self._read(loading))
        cached = self._cached_result
        if cached is not None and (hit := cached.outputs(document, spec)) is not None:
            entry, notebook = hit
            shown = cached.shown(notebook)
            documents = await self._publisher.export(self._publisher.write(notebook))
            cached.renew(entry, documents, shown)
            return self._cached(spec.called, count_cells(notebook), tuple(entry.record.artifacts))
        async with self._kernel(spec) as kernel:
            return await self._execute(document, kernel)

    async def _read(self, loading: asyncio.Future[Document]) -> Document:
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await loading
        except TimeoutError:
            raise DocumentError(
                f"{self._item.file.path} cannot be read",
                why=f"It takes longer than {READ_SECONDS:g} s",
                do="Split it",
            ) from None

    def _likely_kernel(self) -> KernelSpec | None:
        item = self._item
        if not item.fresh or item.file.path.suffix != ".py":
            return None
        if item.settings.kernel or b"kernelspec" in item.data[:4096]:
            return None
        return native()

    def _prepare(self, document: Document) -> tuple[Document, KernelSpec]:
        """Choose the kernel, leave out what shall not be there, inject the parameters."""
        settings, own = self._context.settings, self._item.settings
        spec, said = choose_kernel(
            document.kernel,
            document.language,
            own.kernel,
            directory=Path(self._item.directory),
        )
        if said:
            self._context.emit(Note("notice", said, self._item.name))
        notebook = without_cells(document.notebook, frozenset(settings.remove_cells))
        if unknown := undeclared(notebook, own.param):
            said = f"{', '.join(unknown)}: the cell tagged `parameters` names no such parameter"
            self._context.emit(Note("warning", said, self._item.name))
        notebook = inject_parameters(notebook, dict(own.param), document.language or spec.language)
        name_kernel(notebook["metadata"], spec)
        return document.with_notebook(notebook), spec

    @asynccontextmanager
    async def _kernel(self, spec: KernelSpec) -> AsyncIterator[Kernel]:
        launching, item = self._context.launching, self._item
        options = launch_options(
            spec,
            self._context.settings,
            directory=item.directory,
            env={**launching.environ, **item.settings.env},
            fork=launching.fork,
            start_timeout=item.settings.start_timeout,
        )
        await launching.warden.renew()
        prelaunch = launching.prelaunch
        ready = None if prelaunch is None else prelaunch.launch(item.name, spec, options)
        async with ready or launch(spec, **options) as kernel:
            self._attempt.kernel = kernel
            try:
                yield kernel
            finally:
                self._attempt.kernel = None

    async def _execute(self, document: Document, kernel: Kernel) -> Outcome:
        notebook = document.notebook
        inputs = {} if self._cached_result is None else self._cached_result.inputs()
        if self._item.file.path.suffix == ".py" and kernel.spec.language == "python":
            # As `python x.py` has it: ipykernel's own arguments make every argparse of a script fail.
            await kernel.client.execute(
                arguments([self._item.file.path.name]), silent=True, store_history=False
            )
        if isinstance(info := kernel.info.get("language_info"), dict):
            notebook["metadata"]["language_info"] = info
        executor = Executor(
            notebook,
            kernel,
            limits=self._limits(),
            allow_errors=self._context.settings.allow_errors,
            lines=document.lines,
            on_cell=self._on_cell,
        )
        outcome, environment = await self._observed(executor, kernel, notebook)
        if self._publisher.waits:
            # Files may still appear while the kernel ends. What ran is written even if that was lost.
            with suppress(WardenLost):
                await kernel.shutdown()
        else:
            self._release(outcome)
        ran = Ran(lasting_name(kernel.spec), {}, environment, inputs=inputs)
        try:
            self.placed = await self._put_in_place(notebook, outcome, ran)
        except MoorageError as error:
            self.placed = unwritten(outcome, error)
        return self.placed

    async def _observed(
        self, executor: Executor, kernel: Kernel, notebook: JsonObject
    ) -> tuple[Outcome, RunEnvironment | str]:
        """Run all cells, and find out what they ran with."""
        if self._cached_result is None:
            return self._measured(await executor.run(), kernel, count_cells(notebook)), "nothing is kept"
        receive = executor.receive_late
        try:
            async with self._cached_result.watched(kernel, receive) as watching:
                execution = await executor.run()
                outcome = self._measured(execution, kernel, count_cells(notebook))
                if execution.status != "ok":
                    return outcome, "it did not end well"
                return outcome, await self._cached_result.environment(kernel, notebook, watching, receive)
        finally:
            executor.write_back()  # what its children printed meanwhile

    async def _put_in_place(self, notebook: JsonObject, outcome: Outcome, ran: Ran) -> Outcome:
        """Write everything, and keep it in the cache if it went well."""
        data = self._publisher.write(notebook)
        made, missing = await self._publisher.collect()
        outcome = not_made(missing, self._publisher.outcome(outcome))
        if self._publisher.waits:
            self._release(outcome)
        shown = {} if self._cached_result is None else self._cached_result.shown(notebook)
        documents = await self._publisher.export(data)
        if self._cached_result is not None and outcome.status == "ok":
            ran = structs.replace(
                ran,
                documents=documents,
                written=self._item.documents,
                artifacts=made,
                seconds=outcome.seconds,
                shown=shown,
            )
            self._cached_result.store(notebook, ran)
        return outcome

    def _limits(self) -> TimeLimits:
        settings = self._item.settings
        return TimeLimits(notebook=settings.timeout, cell=settings.cell_timeout)

    def _on_cell(self, index: int, total: int, cell: int) -> None:
        context = self._context
        context.emit(CellStarted(self._item.name, context.clock(), index, total, cell))

    def _measured(self, execution: Execution, kernel: Kernel, cells: int) -> Outcome:
        outcome = Outcome(
            self._item.name,
            None,
            execution.status,
            kernel=kernel.spec.called,
            rendezvous=kernel.rendezvous,
            forked=not not_forked(kernel.process),
            not_forked=not_forked(kernel.process),
            attempts=self._attempt.number,
            error=execution.failure,
            reason=execution.reason,
            cells=cells,
            cells_done=execution.cells_done,
            peak_memory=self._attempt.peak_memory,
        )
        return self._timed(outcome)

    def _cached(self, kernel: str, cells: int, artifacts: tuple[str, ...]) -> Outcome:
        outcome = Outcome(self._item.name, None, "cached", kernel=kernel, cells=cells)
        self._publisher.restored(artifacts)
        return self._timed(self._publisher.outcome(outcome))

    def _timed(self, outcome: Outcome) -> Outcome:
        seconds = self._context.clock() - self._began
        return replace(outcome, seconds=seconds, started=self._began, worker=self._attempt.worker)


def _as_it_is_now(item: Item) -> Item:
    """Return the item with its source's present bytes: in a long run it may have been changed."""
    try:
        data = read_regular(item.file.path, MOST_DOCUMENT)
    except OSError:
        return item  # loading it tells why
    return item if data == item.data else replace(item, data=data)
