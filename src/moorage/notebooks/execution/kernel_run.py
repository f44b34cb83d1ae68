"""One notebook run by a kernel, or by the stored outputs of its code: from its text to files in place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from moorage.discovery.choice import choose_kernel
from moorage.discovery.kernelspec import KernelSpec, native
from moorage.errors import DocumentError, MoorageError, WardenLost
from moorage.json_types import JsonObject
from moorage.kernel.launch import launch
from moorage.notebooks.documents.document import Document, load
from moorage.notebooks.documents.parameters import inject_parameters, undeclared
from moorage.notebooks.documents.tags import without_cells
from moorage.notebooks.events import CellStarted, KernelStandstill, Note, Outcome
from moorage.notebooks.execution.attempt import Attempt
from moorage.notebooks.execution.context import Context
from moorage.notebooks.execution.kernels import name_kernel
from moorage.notebooks.execution.prelaunch import launch_options, load_what_launches
from moorage.notebooks.execution.publish import Publisher, count_cells, not_made, unwritten
from moorage.notebooks.planning.item import Item
from moorage.tasks import in_thread

if TYPE_CHECKING:
    # With the client of a kernel these are loaded while the first kernel starts, or after it has.
    from moorage.kernel.kernel import Kernel
    from moorage.notebooks.cache.environment import RunEnvironment
    from moorage.notebooks.cache.stored import Ran
    from moorage.notebooks.execution.cached_result import CachedResult
    from moorage.notebooks.execution.executor import Execution, Executor
    from moorage.plan.lifecycle import Status

READ_SECONDS = 300.0
"""What parsing a document may take; 100,000 cells of text take half of it."""


class KernelRun:
    """One attempt at a notebook whose finished documents are not in the cache."""

    def __init__(
        self,
        context: Context,
        item: Item,
        attempt: Attempt,
        publisher: Publisher,
        cached_result: CachedResult | None,
        release: Callable[[Outcome], None],
    ) -> None:
        """Describe it.

        Args:
            context: the run.
            item: the notebook.
            attempt: which one; its kernel is noted there.
            publisher: writes what the notebook gives.
            cached_result: its result in the cache; None without a cache.
            release: called as soon as its slot may be used by another, with what is known by then.
        """
        self.placed: Outcome | None = None
        """How it ended, as soon as everything is in place: its kernel may still be ending."""
        self._context = context
        self._item = item
        self._attempt = attempt
        self._publisher = publisher
        self._cached_result = cached_result
        self._release = release

    async def run(self) -> Outcome:
        """Do it, and return how it ended.

        Raises:
            MoorageError: its text, its kernel or the disk does not allow it. Cancelling kills the kernel.
        """
        await self._publisher.begin()
        likely = self._likely_kernel()
        if likely is not None:
            load_what_launches()  # first: beside jupytext in a thread this would take twice as long
        loading = in_thread(lambda: load(self._item.file.path))
        # Should the kernel not start, what came of the text is not looked at.
        loading.add_done_callback(lambda done: done.cancelled() or done.exception())
        if likely is not None:
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
            names = tuple(entry.record.artifacts)
            return self._timed(self._publisher.cached(spec.called, count_cells(notebook), names))
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
        ready = None if prelaunch is None else await prelaunch.launch(item.name, spec, options)
        async with ready or launch(spec, **options) as kernel:
            self._attempt.kernel = kernel
            try:
                yield kernel
            finally:
                self._attempt.kernel = None

    async def _execute(self, document: Document, kernel: Kernel) -> Outcome:
        from moorage.kinds import giving_arguments
        from moorage.notebooks.execution.executor import Executor, TimeLimits
        from moorage.wire.messages import execute_request

        notebook, cached = document.notebook, self._cached_result
        inputs = {} if cached is None else cached.inputs()
        if self._item.file.path.suffix == ".py" and kernel.spec.language == "python":
            # As `python x.py` has it: ipykernel's own arguments make every argparse of a script fail.
            code = giving_arguments([self._item.file.path.name])
            # Not waited for: the kernel runs it before the first cell.
            message = execute_request(code, silent=True, store_history=False, stop_on_error=False)
            kernel.client.request("shell", message)
        if isinstance(info := kernel.info.get("language_info"), dict):
            notebook["metadata"]["language_info"] = info
        executor = Executor(
            notebook,
            kernel,
            limits=TimeLimits(notebook=self._item.settings.timeout, cell=self._item.settings.cell_timeout),
            allow_errors=self._context.settings.allow_errors,
            lines=document.lines,
            on_cell=self._on_cell,
        )
        with self._standstills_told(kernel):
            outcome, environment = await self._observed(executor, kernel, notebook)
        if self._publisher.waits:
            # Files may still appear while the kernel ends. What ran is written even if that was lost.
            with suppress(WardenLost):
                await kernel.shutdown()
        else:
            self._release(outcome)
        ran = None if cached is None else cached.ran(kernel, environment, inputs)
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

    async def _put_in_place(self, notebook: JsonObject, outcome: Outcome, ran: Ran | None) -> Outcome:
        """Write everything, and keep it in the cache if it went well."""
        data = self._publisher.write(notebook)
        made, missing = await self._publisher.collect()
        outcome = not_made(missing, self._publisher.outcome(outcome))
        if self._publisher.waits:
            self._release(outcome)
        cached = self._cached_result
        shown = {} if cached is None else cached.shown(notebook)
        documents = await self._publisher.export(data)
        if cached is not None and ran is not None and outcome.status == "ok":
            ran = structs.replace(
                ran,
                documents=documents,
                written=self._item.documents,
                artifacts=made,
                seconds=outcome.seconds,
                shown=shown,
            )
            cached.store(notebook, ran)
        return outcome

    @contextmanager
    def _standstills_told(self, kernel: Kernel) -> Iterator[None]:
        """Tell when the kernel is found stopped, and when it goes on."""
        from moorage.kernel.standstill import advice
        from moorage.plan.lifecycle import Running

        told = ""

        def look(status: Status) -> None:
            nonlocal told
            if isinstance(status, Running) and status.stopped != told:
                told = status.stopped
                do = advice(told, status.pid) if told else ""
                self._context.emit(KernelStandstill(self._item.name, self._context.clock(), told, do))

        end = kernel.subscribe(look)
        try:
            yield
        finally:
            end()

    def _on_cell(self, index: int, total: int, cell: int) -> None:
        context = self._context
        context.emit(CellStarted(self._item.name, context.clock(), index, total, cell))

    def _measured(self, execution: Execution, kernel: Kernel, cells: int) -> Outcome:
        from moorage.kernel.kernel import not_forked

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

    def _timed(self, outcome: Outcome) -> Outcome:
        return self._attempt.timed(outcome, self._context.clock())
