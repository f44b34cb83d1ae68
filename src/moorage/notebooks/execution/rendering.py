"""One notebook of a run: from its source, by the cache or by a kernel, to files in place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import structs
from msgspec.structs import replace

from moorage.errors import (
    DeadlineExceeded,
    DocumentError,
    KernelTypeNotFound,
    LaunchError,
    MissingExtra,
    MoorageError,
    OutputError,
    UsageError,
)
from moorage.notebooks.events import Failure, Outcome
from moorage.notebooks.execution.attempt import Attempt
from moorage.notebooks.execution.context import Context
from moorage.notebooks.execution.publish import Publisher, unwritten
from moorage.notebooks.planning.item import Item
from moorage.regular import MOST_DOCUMENT, read_regular

if TYPE_CHECKING:
    from moorage.notebooks.execution.cached_result import CachedResult
    from moorage.notebooks.execution.kernel_run import KernelRun

# What another attempt would meet again.
_FINAL = (DocumentError, KernelTypeNotFound, LaunchError, MissingExtra, OutputError, UsageError)


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
        attempt.began = context.clock()
        self._context = context
        self._item = item
        self._attempt = attempt
        self._release = release
        self._cached_result: CachedResult | None = None
        self._publisher = Publisher(context, item)
        self._run: KernelRun | None = None

    @property
    def placed(self) -> Outcome | None:
        """How it ended, as soon as everything is in place: its kernel may still be ending."""
        return None if self._run is None else self._run.placed

    async def run(self) -> Outcome:
        """Do it.

        Returns:
            How it ended; what notebook, kernel or disk do wrong is in the outcome and not raised.
            Cancelling kills the kernel and leaves no half-written file.
        """
        try:
            if (settled := await self._settled()) is not None:
                return settled
            self._run = self._by_kernel()
            with self._context.launching.links.placed(self._item.links):
                return await self._run.run()
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
        from moorage.notebooks.execution.cached_result import CachedResult, read_inputs

        limit = self._item.settings.timeout
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
        record = hit.record
        return self._timed(self._publisher.cached(record.kernel, record.cells, tuple(record.artifacts)))

    def _by_kernel(self) -> KernelRun:
        # Loaded here: what kernels need takes 50 ms, and a run may find everything in the cache.
        from moorage.notebooks.execution.kernel_run import KernelRun

        if (cache := self._context.results.cache) is not None:
            cache.look_anew()
        return KernelRun(
            self._context, self._item, self._attempt, self._publisher, self._cached_result, self._release
        )

    def _timed(self, outcome: Outcome) -> Outcome:
        return self._attempt.timed(outcome, self._context.clock())


def _as_it_is_now(item: Item) -> Item:
    """Return the item with its source's present bytes: in a long run it may have been changed."""
    try:
        data = read_regular(item.file.path, MOST_DOCUMENT)
    except OSError:
        return item  # loading it tells why
    return item if data == item.data else structs.replace(item, data=data)
