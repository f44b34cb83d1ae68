"""Lists of all kernel types, without waiting for slow providers."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path

from moorage.directory import working_directory
from moorage.discovery.base import Around, KernelType
from moorage.discovery.cache import Cache, CachedListing
from moorage.discovery.entries import OWN, Load, ask, in_daemon_thread, installed
from moorage.discovery.settings import DiscoverySettings, load_settings
from moorage.errors import MoorageError

PATIENCE = 0.3
"""Seconds a list waits for other people's providers."""

FOLDERS = 5.0
"""Seconds it waits for moorage's own, which only look into folders: a busy machine shall not hide them."""

LONGEST = 60.0
"""Seconds a provider may take to answer at all, in a list that waits for all."""

FRESH = 60.0
"""Seconds an answer of a slow provider counts as the truth."""


@dataclass(frozen=True)
class Remark:
    """A remark of the list on one provider.

    Attributes:
        provider: its name.
        text: one sentence without the full stop.
        broken: it failed; otherwise it is only late.
    """

    provider: str
    text: str
    broken: bool


@dataclass(frozen=True)
class Listing:
    """All kernel types known now.

    Attributes:
        types: provider by provider; what is not known to be true any more is marked ``stale``.
        remarks: on providers that failed or have not answered yet.
    """

    types: tuple[KernelType, ...]
    remarks: tuple[Remark, ...] = ()

    @property
    def late(self) -> tuple[str, ...]:
        """Names of the providers that have not answered yet."""
        return tuple(each.provider for each in self.remarks if not each.broken)


class Finder:
    """Lists kernel types, and remembers for the next list what came too late for this one."""

    def __init__(
        self,
        directory: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        settings: DiscoverySettings | None = None,
        cache: Cache | None = None,
        providers: Mapping[str, Load] | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            directory: from where to look; default is the working directory.
            environ: environment variables; default is this process's.
            settings: what to search and to leave out; default is what the configuration in ``directory``
                says, and everything where that is wrong: :func:`load_settings` reports it elsewhere.
            cache: where answers of slow providers are kept; default is the user's.
            providers: how to load each by name; default is all that are installed.
        """
        where = (working_directory() if directory is None else directory).absolute()
        self._settings = _settings(where) if settings is None else settings
        given = dict(os.environ) if environ is None else environ
        self._around = Around(where, given, self._settings.paths)
        self._cache = Cache() if cache is None else cache
        self._providers = providers
        self._lock = threading.Lock()
        self._answers: dict[str, Future[CachedListing]] = {}
        self._last: dict[str, CachedListing] = {}

    def survey(self, patience: float = PATIENCE) -> Listing:
        """Return all kernel types here. Blocks; see :meth:`list_types`."""
        began = time.monotonic()
        answers = self._ask()
        for futures, seconds in _waits(answers, patience):
            wait(futures, timeout=max(0.0, began + seconds - time.monotonic()))
        return self._listing(answers)

    async def list_types(self, patience: float = PATIENCE) -> Listing:
        """Return all kernel types here.

        Every provider is asked, in a thread of its own. One that has not answered in time is shown with
        its answer before, marked stale, and goes on: the next list has its new one.

        Args:
            patience: seconds to wait for other people's providers, at most.

        Returns:
            What is known. No provider makes this raise; cancelling abandons the waiting, not the asking.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await asyncio.wrap_future(in_daemon_thread(self._ask, name="providers"))
        for futures, seconds in _waits(answers, patience):
            left = max(0.0, began + seconds - loop.time())
            if futures:
                await asyncio.wait([asyncio.wrap_future(each) for each in futures], timeout=left)
        return self._listing(answers)

    def _ask(self) -> dict[str, Future[CachedListing]]:
        """Start asking the providers that are not being asked already."""
        with self._lock:
            if self._providers is None:
                self._providers = installed()
            for name, load in self._providers.items():
                under_way = self._answers.get(name)
                if under_way is None or under_way.done():
                    self._answers[name] = in_daemon_thread(
                        _answering(load, self._around, self._cache), name=f"find {name}"
                    )
            return dict(self._answers)

    def _listing(self, answers: Mapping[str, Future[CachedListing]]) -> Listing:
        types: list[KernelType] = []
        remarks: list[Remark] = []
        for name, future in answers.items():
            if not future.done():
                kept = self._before(name)
                remarks.append(Remark(name, _lateness(kept), broken=False))
            elif (error := future.exception()) is not None:
                kept = None
                remarks.append(Remark(name, _failure(error), broken=True))
            else:
                kept = self._last[name] = future.result()
            types += kept.types if kept is not None else ()
        return Listing(tuple(filter(self._settings.lists, types)), tuple(remarks))

    def _before(self, name: str) -> CachedListing | None:
        """Return what a provider answered before, marked stale."""
        kept = self._last.get(name) or self._cache.load(name)
        if kept is None:
            return None
        return CachedListing(kept.at, tuple(replace(each, stale=True) for each in kept.types))


def _waits(
    answers: Mapping[str, Future[CachedListing]], patience: float
) -> list[tuple[list[Future[CachedListing]], float]]:
    """Return what to wait for in turn, each with the seconds it may have from the beginning."""
    ours = [future for name, future in answers.items() if name in OWN]
    return [(list(answers.values()), patience), (ours, max(patience, FOLDERS))]


def _settings(directory: Path) -> DiscoverySettings:
    try:
        return load_settings(directory)
    except MoorageError:
        return DiscoverySettings()


def _answering(load: Load, around: Around, cache: Cache) -> Callable[[], CachedListing]:
    """Return what a provider's thread does: import it, ask it, and keep the answer of a slow one."""

    def answer() -> CachedListing:
        provider = load()
        if provider.slow:
            kept = cache.load(provider.name)
            if kept is not None and 0 <= time.time() - kept.at < FRESH:
                return CachedListing(kept.at, tuple(replace(each, stale=False) for each in kept.types))
        types = ask(provider, around)
        kept = CachedListing(time.time(), types)
        if provider.slow:
            cache.save(provider.name, types, kept.at)
        return kept

    return answer


def _lateness(kept: CachedListing | None) -> str:
    if kept is None:
        return "has not answered yet; list again in a moment"
    return f"has not answered yet; shown is what it found {ago(time.time() - kept.at)} ago"


def _failure(error: BaseException) -> str:
    if isinstance(error, MoorageError):
        return str(error)
    text = " ".join(str(error).split())
    return f"failed: {type(error).__name__}: {text}" if text else f"failed: {type(error).__name__}"


def ago(seconds: float) -> str:
    """Return a span of time in one unit: ``5 s``, ``3 min``, ``2 h``, ``9 d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
