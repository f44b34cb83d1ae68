"""The wardens of this process: shared by all launches of one loop, kept between launches, ended unused.

A warden whose last block was left rests, with its templates, until the next block in any loop of this process
takes it. It ends when this process does, after :data:`IDLE` seconds, or by :func:`close`. Why it is done in
this way stands in docs/design/0013-lasting-warden.md.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from moorage.errors import MoorageError, WardenLost
from moorage.process.warden.client import Warden, begin
from moorage.process.warden.inherited import Surroundings, surroundings
from moorage.process.warden.joined import JoinedWarden, join
from moorage.process.warden.process import START, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from moorage.process.warden.process import WardenProcess

IDLE = 60.0
"""Seconds that a warden and its templates live unused."""
MOST_RESTING = 4
"""Wardens kept unused at once; as many threads with loops of their own find theirs again."""
_ANSWER = 3.0
"""Seconds in which one that rested must answer, or it is replaced."""


@dataclass(eq=False)
class _Share:
    """A warden, how many blocks use it, and what its children inherit."""

    warden: Warden
    born_in: Surroundings
    lasting: bool
    users: int = 0

    @property
    def usable(self) -> bool:
        """Whether newcomers may have it."""
        return not self.warden.link.lost and os.path.lexists(self.warden.directory / ".lock")

    @property
    def may_rest(self) -> bool:
        """Whether it may wait for the next block."""
        return self.lasting and self.warden.link.ours and self.warden.idle and self.usable


class _LoopShare:
    """Where a loop's share stands, and the lock around its making."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.share: _Share | None = None


_loop_shares: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopShare] = WeakKeyDictionary()
_resting: list[_Share] = []
_ahead: list[WardenProcess] = []
_looking: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


@asynccontextmanager
async def shared_warden(process: WardenProcess | None = None) -> AsyncIterator[Warden]:
    """Yield the warden that all blocks in this loop use.

    The first block takes one that rests, or starts one; when the last is left it rests again. One that was
    lost, or whose directory has gone, is replaced for newcomers.

    Args:
        process: one that was started ahead; the first block takes it, others leave it alone. It ends with
            the last block.

    Raises:
        WardenLost: it did not come up.
        LaunchError: this is not Linux.
    """
    loop = asyncio.get_running_loop()
    loop_share = _loop_shares.setdefault(loop, _LoopShare())
    async with loop_share.lock:
        share = loop_share.share
        if share is None or not share.usable:
            share = loop_share.share = await _taken(process)
        share.users += 1
    try:
        yield share.warden
    finally:
        share.users -= 1
        if share.users == 0:
            if loop_share.share is share:
                loop_share.share = None
                if not loop_share.lock.locked() and _loop_shares.get(loop) is loop_share:
                    del _loop_shares[loop]  # its lock may hold on to the loop
            await _left(share)


@contextmanager
def warden_ahead(*, wanted: bool) -> Iterator[None]:
    """Have a warden come up while the block does something else, where :func:`shared_warden` would start one.

    In a running loop. One that was not taken when the block is left is ended. Where none can be started,
    :func:`shared_warden` tells why.

    Args:
        wanted: whether the block will ask for one.
    """
    process = None
    loop_share = _loop_shares.get(asyncio.get_running_loop())
    if (
        wanted
        and not (_resting or _ahead)
        and (loop_share is None or not (loop_share.share or loop_share.lock.locked()))
    ):
        with suppress(MoorageError, OSError):
            process = start()
            _ahead.append(process)
    try:
        yield
    finally:
        if process in _ahead:
            _ahead.remove(process)
            process.stop(START)  # one that is still coming up is to tidy up, too


def close() -> None:
    """End now what this process keeps for its next launch: wardens without a kernel, and their templates.

    Kernels that run are left alone. Returns when nothing of what was kept is left, after milliseconds. What
    is not ended so ends with the process, or after a minute without use; call this where something counts
    processes, open files or temporary directories, such as a test session's check for leaks.
    """
    while _resting:
        share = _resting.pop()
        if share.warden.link.ours:
            share.warden.link.stop()


async def _taken(process: WardenProcess | None) -> _Share:
    """Return a share of a warden that rested, or of a new one."""
    now = surroundings()
    while process is None and _resting:
        share = _resting.pop()
        if not share.warden.link.ours:
            continue
        share.warden.link.attach()
        try:
            alike = share.born_in == now and share.usable
            if alike and await share.warden.link.answers(_ANSWER):
                return share
        except WardenLost:  # it ended unused
            pass
        except BaseException:
            await share.warden.link.close()
            raise
        await share.warden.link.close()
    lasting = process is None
    if lasting and (joined := join()) is not None:
        try:
            return _Share(await begin(joined, JoinedWarden), now, lasting)
        except WardenLost:  # it had a link already
            pass
    if process is None and _ahead:
        process = _ahead.pop()
    return _Share(await begin(process), now, lasting)


async def _left(share: _Share) -> None:
    """Let a warden rest when its last block was left, or end it."""
    link = share.warden.link
    rests = share.may_rest and len(_resting) < MOST_RESTING
    if rests:
        try:
            link.send({"do": "rest", "seconds": IDLE})
            link.flush()
        except WardenLost:
            rests = False
    if not rests:
        await link.close()
        return
    link.detach()
    _prepare()
    _resting.append(share)
    _look_later(asyncio.get_running_loop())


def _prepare() -> None:
    """Have what rests let go of at the end of this process and in its forks."""
    if not _prepared:
        _prepared.append(True)
        atexit.register(_abandon)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_abandon)


_prepared: list[bool] = []


def _abandon() -> None:
    while _resting:
        _resting.pop().warden.link.abandon()
    while _ahead:
        _ahead.pop().abandon()


def _look_later(loop: asyncio.AbstractEventLoop) -> None:
    """Have what ended unused reaped, if the loop still runs by then."""
    if loop not in _looking:
        _looking.add(loop)
        loop.call_later(IDLE + 1, _look, weakref.ref(loop))


def _look(reference: weakref.ref[asyncio.AbstractEventLoop]) -> None:
    for share in list(_resting):
        if share.warden.link.process.popen.poll() is not None:
            with suppress(ValueError):  # another thread has just taken it
                _resting.remove(share)
                share.warden.link.stop()
    loop = reference()
    if loop is not None:
        _looking.discard(loop)
        if _resting:
            _look_later(loop)
