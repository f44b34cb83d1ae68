"""Putting a kept process to sleep: it ends, and what the warden beside it has started lives on."""
# ruff: noqa: E402 - what it imports is not there on Windows

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import UsageError
from moorage.keeper.kept import GONE, Kept, link_of
from moorage.keeper.link import late
from moorage.keeper.process.record import WARDEN
from moorage.keeper.status import KeptState


def can_sleep(kept: Kept) -> bool:
    """Tell whether a warden is beside a kept process, or with it behind its walls."""
    return (kept.directory / WARDEN).exists() or tender_of(kept) is not None


def sleeps(kept: Kept) -> bool:
    """Tell whether a kept process was put to sleep, as far as its keeper has told."""
    latest = link_of(kept).latest
    return latest is not None and latest["state"] in ("clearing", "asleep")


def tender_of(kept: Kept) -> int | None:
    """Return the process id of what tends a kept process that can sleep, behind its walls; None without."""
    latest = link_of(kept).latest
    return None if latest is None else latest.get("tender")  # one of an earlier moorage has none


def keeper_pid(kept: Kept) -> int:
    """Return the process id of a keeper, from which its charge and all it has started descend."""
    return link_of(kept).keeper_pid


async def put_to_sleep(kept: Kept) -> None:
    """End a kept process and all it started but its warden; return when nothing else is left.

    Raises:
        UsageError: no warden is beside it, or it has ended.
        KeeperLost, DeadlineExceeded: as :meth:`~moorage.keeper.kept.Kept.status`.
    """
    await link_of(kept).ask("sleep")
    await _reach(kept, "asleep")


async def wake(kept: Kept, command: Sequence[str], cwd: str | Path, env: Mapping[str, str]) -> None:
    """Start a process in the place of the one that was put to sleep.

    Args:
        kept: the keeper's.
        command: program and arguments.
        cwd: absolute working directory.
        env: its whole environment.

    Raises:
        UsageError: it is not asleep, or the process cannot be started.
        KeeperLost, DeadlineExceeded: as :meth:`~moorage.keeper.kept.Kept.status`.
    """
    await _reach(kept, "asleep")  # it may still be clearing
    await link_of(kept).ask("wake", argv=list(command), cwd=str(cwd), env=dict(env))
    await _reach(kept, "running")


async def _reach(kept: Kept, state: KeptState) -> None:
    try:
        async with asyncio.timeout(GONE):
            async for status in kept.watch():
                if status.state == state:
                    return
                if state == "running" and (failure := (link_of(kept).latest or {}).get("not_woken")):
                    why = f"{os.strerror(failure[1])} ({failure[0]})"
                    raise UsageError(f"{kept.name} cannot be started again", why=why)
    except TimeoutError:
        raise late(link_of(kept), GONE) from None
    raise UsageError(f"{kept.name} has ended instead", why=status.describe())
