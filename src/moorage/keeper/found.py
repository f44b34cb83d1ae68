"""Kept processes are found again, by any process of the same user, whatever became of the one that began."""
# ruff: noqa: E402 - what it imports is not there on Windows

from __future__ import annotations

import asyncio
import os
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import DeadlineExceeded, KeeperLost, MoorageError, UsageError
from moorage.json_types import JsonObject
from moorage.keeper.kept import Kept
from moorage.keeper.link import ANSWER, KeeperLink, connect
from moorage.keeper.process import record
from moorage.keeper.status import KeptStatus
from moorage.keeper.tidy import TIDYING, kill_left, last_status, read_record, tidy
from moorage.tasks import in_thread
from moorage.trust import distrust_folder

if sys.platform == "linux":
    from moorage.keeper.tidy import outwait_keeper

KILLED = 5.0
"""Seconds that a killed process gets to be gone."""
ENDING = 3.0
"""Seconds that a keeper which takes no links any more gets to be gone."""
_HALF_MADE = 60.0
"""Seconds after which a directory without a lock has no maker any more."""


@dataclass(frozen=True)
class EndedCharge:
    """A kept process that had ended, or whose keeper was killed; its directory has been removed.

    Attributes:
        name: of its directory.
        label: what its launcher called it.
        status: the last one, with the end of its output. Its reason is ``lost`` where the keeper was killed.
    """

    name: str
    label: str
    status: KeptStatus


@dataclass(frozen=True)
class SilentKeeper:
    """A keeper that lives and does not answer.

    Attributes:
        directory: its own; :func:`kill` takes it.
        error: why it cannot be talked to.
    """

    directory: Path
    error: MoorageError


@dataclass(frozen=True)
class FoundCharges:
    """What a directory holds.

    Attributes:
        kept: those that run; each has a link that is attached, and is to be closed. One that is just being
            started by another program is left out.
        ended: those that ended since; they are told of once.
        silent: those whose keepers do not answer.
    """

    kept: tuple[Kept, ...]
    ended: tuple[EndedCharge, ...]
    silent: tuple[SilentKeeper, ...]


async def find(directory: Path, *, attach: bool = True, within: float = ANSWER) -> FoundCharges:
    """Find kept processes, tell those that have ended, and remove what is left of these.

    Of a keeper that was killed all that it kept is killed, too. Cancelling closes all links.

    Args:
        directory: as :func:`moorage.keeper.start.start` was given it.
        attach: whether the links count as attached.
        within: seconds for the keepers to answer, all at once.

    Raises:
        UsageError: other users may write to the directory.
    """
    folders = _folders(directory)
    seen: dict[Path, Kept | EndedCharge | SilentKeeper | None] = {}

    async def look(folder: Path) -> None:
        try:
            seen[folder] = await _look(folder, attach=attach, within=within)
        except (KeeperLost, DeadlineExceeded) as error:
            seen[folder] = SilentKeeper(folder, error)

    try:
        async with asyncio.TaskGroup() as group:
            for folder in folders:
                group.create_task(look(folder))
    except BaseException:
        for each in seen.values():
            if isinstance(each, Kept):
                await each.aclose()
        raise
    found = [seen[folder] for folder in folders]
    return FoundCharges(
        tuple(each for each in found if isinstance(each, Kept)),
        tuple(each for each in found if isinstance(each, EndedCharge)),
        tuple(each for each in found if isinstance(each, SilentKeeper)),
    )


async def look(directory: Path, *, attach: bool = True, within: float = ANSWER) -> Kept | EndedCharge | None:
    """Find one kept process, or tell how it ended, as :func:`find` does; None where there is none.

    Args:
        directory: its own.
        attach: whether the link counts as attached.
        within: seconds for the keeper to answer.

    Raises:
        UsageError: other users may write to the directory that it is in.
        KeeperLost, DeadlineExceeded: its keeper lives, and does not answer.
    """
    if directory not in _folders(directory.parent):
        return None
    return await _look(directory, attach=attach, within=within)


async def kill(directory: Path) -> EndedCharge | None:
    """SIGKILL a keeper and all that it keeps, and remove the directory; no answer is needed.

    Args:
        directory: the kept process's own.

    Returns:
        What was kept; None where there was nothing.

    Raises:
        KeeperLost: the keeper lives on, or another program is still removing what it has left.
    """
    found, gone = read_record(directory), False
    if found is not None and sys.platform == "linux":
        known = found
        gone = await in_thread(lambda: outwait_keeper(known, KILLED, kill=True))
    try:
        return await _stale(directory, within=TIDYING)
    except BlockingIOError:
        still = "is being removed by another program" if gone else "still lives"
        raise KeeperLost(f"the keeper of {directory.name} {still}", do="Try again") from None


def _folders(directory: Path) -> list[Path]:
    try:
        reason = distrust_folder(directory)
        names = sorted(os.listdir(directory))  # noqa: PTH208 - names are what is wanted
    except FileNotFoundError:
        return []
    if reason is not None:
        raise UsageError(f"no kept process is looked for in {directory}", why=reason.why, do=reason.do)
    return [directory / name for name in names if _is_ours(directory / name)]


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


async def _look(folder: Path, *, attach: bool, within: float) -> Kept | EndedCharge | None:
    """Find what one directory holds; None also where another program is making or removing it."""
    with suppress(BlockingIOError):
        return await _stale(folder)
    try:
        return await _adopted(folder, attach=attach, within=within)
    except KeeperLost:
        over = await _is_over(folder)
        with suppress(BlockingIOError):
            return await _stale(folder)
        if not over:
            raise
    return None


async def _is_over(folder: Path) -> bool:
    """Tell whether a keeper that takes no links has not come up yet, or has ended within some seconds."""
    found = read_record(folder)
    if found is None:  # its launcher holds the directory, or what removes it
        return True
    gone = False
    if sys.platform == "linux":
        gone = await in_thread(lambda: outwait_keeper(found, ENDING))
    latest = read_record(folder)
    return gone or latest is None or latest["state"] == "ended"


async def _adopted(folder: Path, *, attach: bool, within: float) -> Kept:
    """Return a kept process whose keeper is the one that the record names."""
    link = await connect(folder / record.SOCKET, folder.name, within=within)
    try:
        _check_identity(folder, link)
        await link.ask("watch", within=within)
        if attach:
            await link.ask("attach", within=within)
    except BaseException:
        link.close()
        raise
    return Kept(folder, link)


def _check_identity(folder: Path, link: KeeperLink) -> None:
    found = read_record(folder)
    if found is None or link.identity != found["id"] or link.keeper_pid != found["keeper"]["pid"]:
        raise KeeperLost(
            f"the keeper of {folder.name} is not the one that its record names",
            do=f"See what listens at {folder / record.SOCKET}",
        )


async def _stale(folder: Path, *, within: float = 0.0) -> EndedCharge | None:
    """Tell what is left of a keeper that is gone, end it, and remove the directory.

    Args:
        folder: the directory.
        within: seconds to block for another program that is just doing so.

    Raises:
        BlockingIOError: a keeper holds it, or such a program.
    """
    try:
        lock = record.lock(str(folder), within=within)
    except BlockingIOError:
        raise
    except OSError:
        _remove_half_made(folder)
        return None
    try:
        found = read_record(folder)
        ended = None if found is None else await _told(folder, found)
        record.remove(str(folder))
    finally:
        os.close(lock)
    return ended


async def _told(folder: Path, found: JsonObject) -> EndedCharge | None:
    if found["state"] != "ended":
        await in_thread(lambda: kill_left(found))
    return EndedCharge(folder.name, str(found["label"]), last_status(folder, found))


def _remove_half_made(folder: Path) -> None:
    """Remove a directory whose maker died before it locked it."""
    with suppress(OSError):  # it is gone, or it holds what is not ours
        if time.time() - folder.stat().st_mtime > _HALF_MADE:
            (folder / record.NEW_LOCK).unlink(missing_ok=True)
            folder.rmdir()


__all__ = ["EndedCharge", "FoundCharges", "SilentKeeper", "find", "kill", "look", "tidy"]
