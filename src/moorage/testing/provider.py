"""``check_provider``: does a provider keep what :class:`moorage.discovery.base.Provider` promises?"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from moorage.discovery.base import Around, KernelType, Provider, is_provider_name
from moorage.discovery.entries import ask, ask_for, in_daemon_thread, made
from moorage.discovery.listing import PATIENCE
from moorage.testing.verdict import Check, Verdict

T = TypeVar("T")

# Seconds any single call may take before it counts as one that never returns.
_LONGEST = 60.0
# Kernel types that are asked for one by one; a provider with thousands need not be asked for all.
_SAMPLE = 20


def check_provider(provider: Provider | Callable[[], Provider], around: Around | None = None) -> Verdict:
    """Check a provider against the interface.

    Args:
        provider: it, or what its entry point names.
        around: from where to look; by default the working directory with this process's environment.

    Returns:
        The verdict. Nothing a provider does makes this raise. It takes as long as looking does a few times.
    """
    around = around or Around(Path.cwd())
    try:
        found = made(provider)
        name = found.name
    except BaseException as error:  # noqa: BLE001 - the boundary to the provider under test: reported as its failure
        return Verdict("a provider", (Check("it can be made", passed=False, why=_failure(error)),))
    checks = [
        Check(
            "its name has only letters, digits, '.', '_' and '-'", is_provider_name(name), f"it is {name!r}"
        ),
        Check("it says whether it is slow", isinstance(found.slow, bool), f"slow is {found.slow!r}"),
    ]
    began = time.monotonic()
    types, why = _bounded(lambda: ask(found, around))
    seconds = time.monotonic() - began
    checks.append(Check("it finds a list of kernel types of its own name", types is not None, why))
    if types is not None:
        checks += [*_of_types(types), *_of_names(found, types, around)]
        checks.append(_of_time(found, seconds))
    return Verdict(f"the provider {name}", (*checks, *_of_manners(found)))


def _of_time(provider: Provider, seconds: float) -> Check:
    """Advise: on a busy machine everything takes its time."""
    swift = provider.slow or seconds <= PATIENCE
    why = f"it took {seconds:.2f} s: a provider that may take longer than {PATIENCE:g} s says slow=True"
    return Check("it finds them in time, or says that it is slow", swift, why, required=False)


def _of_types(types: Sequence[KernelType]) -> list[Check]:
    names = [each.spec.name for each in types]
    twice = sorted({each for each in names if names.count(each) > 1})
    odd = [each for each in names if not each or not each.isprintable() or each != each.strip()]
    launched = [each for each in types if each.lack is None and each.attach is None]
    nothing = [each.name for each in launched if not each.spec.argv]
    deaf = [
        each.name
        for each in launched
        if each.spec.place is None and not any("{connection_file}" in word for word in each.spec.argv)
    ]
    lost = [each.name for each in launched if each.spec.place is not None and each.rendezvous() is None]
    mute = [each.name for each in launched if not each.spec.language or not each.spec.display_name]
    silent = [each.name for each in types if each.lack is not None and not each.lack.why]
    gone = [each.name for each in types if each.spec.resource_dir and not each.spec.resource_dir.is_dir()]
    stale = [each.name for each in types if each.stale]
    return [
        _none(twice, "every kernel type has a name of its own"),
        _none(odd, "names can be printed and typed"),
        _none(nothing, "what can be launched has a command"),
        _none(deaf, "a command is given the connection file"),
        _none(lost, "a place says how addresses are agreed on there"),
        _none(mute, "what can be launched has a language and a display name"),
        _none(silent, "what cannot be launched says why"),
        _none(gone, "resource folders are there"),
        _none(stale, "it leaves it to the list to call an answer stale"),
    ]


def _of_names(provider: Provider, types: Sequence[KernelType], around: Around) -> list[Check]:
    lost: dict[str, str] = {}
    for each in types[:_SAMPLE]:
        name = each.spec.name
        found, why = _bounded(partial(ask_for, provider, name, around))
        if found is None or found.spec.name != name:
            lost[each.name] = why or "it is not found"
    found, why = _bounded(lambda: ask_for(provider, "no-such-kernel-here", around))
    # What is gone by now was lost with reason: kernels end, machines go away.
    now, _ = _bounded(lambda: ask(provider, around)) if lost else ((), "")
    still = {each.name for each in now or ()}
    unfound = [f"{name}: {why}" for name, why in lost.items() if name in still]
    return [
        _none(unfound, "each is found by its name"),
        Check("what is not there is None", found is None and not why, why or f"it found {found}"),
    ]


def _of_manners(provider: Provider) -> list[Check]:
    with tempfile.TemporaryDirectory() as folder:
        empty = Around(Path(folder), {"HOME": folder, "PATH": folder})
        _, bare = _bounded(lambda: ask(provider, empty))
        nowhere = Around(Path(folder) / "gone", {"HOME": str(Path(folder) / "gone")})
        _, lost = _bounded(lambda: ask(provider, nowhere))
        _, stuck = _bounded(lambda: asyncio.run(_cancelled(provider, empty)))
    return [
        Check("an empty environment does not make it fail", not bare, bare),
        Check("a folder that is gone does not make it fail", not lost, lost),
        Check("cancelling it ends it", not stuck, stuck),
    ]


async def _cancelled(provider: Provider, around: Around) -> None:
    """Cancel a look as it begins."""
    try:
        async with asyncio.timeout(0):
            await provider.find(around)
    except TimeoutError:
        return


def _none(found: Iterable[str], name: str) -> Check:
    unfound = list(found)
    return Check(name, not unfound, "\n".join(unfound))


def _bounded(call: Callable[[], T]) -> tuple[T | None, str]:
    """Return what a call returns, or what is wrong with it."""
    answer = in_daemon_thread(call, name="check")
    try:
        error = answer.exception(_LONGEST)
    except TimeoutError:
        return None, f"it has not returned within {_LONGEST:g} s"
    return (answer.result(), "") if error is None else (None, _failure(error))


def _failure(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
