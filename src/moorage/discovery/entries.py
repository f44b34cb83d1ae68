"""Which providers are installed, and how one is asked.

moorage's own are known without reading entry points, which costs 10 ms and more in a large environment.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from moorage.discovery.base import Around, Blocking, KernelType, Provider, is_provider_name, named

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "moorage.providers"
OWN = {"spec": "kernelspec_provider", "env": "environments", "running": "running"}
"""moorage's providers, in the order of lists, and their modules."""

T = TypeVar("T")
_PARTS = ("name", "slow", "find")
Load = Callable[[], Provider]


def own(name: str) -> Load | None:
    """Return how to load one of moorage's providers; None when it has none of that name."""
    return partial(_load_own, OWN[name]) if name in OWN else None


def installed() -> dict[str, Load]:
    """Return how to load each provider, by name: moorage's own, then the others' by name."""
    from importlib.metadata import entry_points

    found = {name: partial(_load_own, module) for name, module in OWN.items()}
    others: dict[str, Load] = {}
    for entry in entry_points(group=GROUP):
        if not entry.value.startswith("moorage.discovery."):
            # No provider replaces one of ours, or one that stands before it on sys.path.
            name = f"{entry.name} ({entry.value})" if entry.name in {**found, **others} else entry.name
            others[name] = partial(load, entry)
    return {**found, **dict(sorted(others.items()))}


def load(entry: EntryPoint) -> Provider:
    """Import a provider.

    Raises:
        TypeError, ValueError: what the entry point names is no provider, or its name is taken.
        Exception: whatever the import raises.
    """
    if entry.name in OWN:
        raise ValueError(f"the name {entry.name} belongs to moorage's own provider")
    provider = made(entry.load())
    if provider.name != entry.name or not is_provider_name(entry.name):
        raise ValueError(f"its entry point is called {entry.name} and it calls itself {provider.name}")
    return provider


def made(found: Any) -> Provider:
    """Return a provider, given it or a function that makes it.

    Raises:
        TypeError: it is none.
        Exception: whatever the function raises.
    """
    provider: Provider = found() if callable(found) and not hasattr(found, "find") else found
    if not callable(getattr(provider, "find", None)) or not all(map(partial(hasattr, provider), _PARTS)):
        raise TypeError(f"{provider!r} is no provider: it needs name, slow and find")
    return provider


def _load_own(module: str) -> Provider:
    provider: Provider = import_module(f"moorage.discovery.{module}").provider()
    return provider


def ask(provider: Provider, around: Around) -> tuple[KernelType, ...]:
    """Return all kernel types of a provider, checked. Blocks; not for the thread of a loop.

    Raises:
        TypeError, ValueError: the answer is none.
        Exception: whatever the provider raises.
    """
    if isinstance(provider, Blocking):
        return _checked(provider.name, provider.look(around))
    return _checked(provider.name, asyncio.run(_bounded(provider, around)))


def ask_for(provider: Provider, name: str, around: Around) -> KernelType | None:
    """Return one kernel type by its name within the provider, or None. Blocks like :func:`ask`."""
    if isinstance(provider, Blocking):
        found = provider.pick(name, around)
    elif callable(get := getattr(provider, "get", None)):
        found = asyncio.run(get(name, around))
    else:
        return named(name, ask(provider, around))
    return None if found is None else _checked(provider.name, [found])[0]


async def _bounded(provider: Provider, around: Around) -> Sequence[KernelType]:
    return await provider.find(around)


def _checked(provider: str, found: object) -> tuple[KernelType, ...]:
    if not isinstance(found, Sequence) or not all(isinstance(each, KernelType) for each in found):
        raise TypeError(f"it returned {type(found).__name__}, not a list of kernel types")
    for each in found:
        if each.spec.provider != provider:
            raise ValueError(f"it returned {each.name}, which is not called {provider}/…")
    return tuple(found)


def in_daemon_thread(work: Callable[[], T], *, name: str) -> Future[T]:
    """Start ``work`` in a daemon thread: not even the end of the program waits for it.

    Args:
        work: may block, raise or never return.
        name: of the thread.

    Returns:
        What it returns or raises, some day.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from now on it cannot be cancelled, only ignored

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - the boundary to other people's providers: raised where it is asked for
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
