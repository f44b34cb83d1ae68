"""Slow providers asked in the background, by a process that outlives the command which printed a list.

It ends when they have answered, and after a minute whatever happens. A program that goes on running needs
none of this: its ``Finder`` goes on asking in its threads.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from moorage.discovery.cache import Cache
from moorage.discovery.entries import OWN, installed
from moorage.discovery.listing import LONGEST, Finder

assert sys.platform != "win32", "processes are started and locked another way there"


def refresh_behind(providers: Sequence[str]) -> None:
    """Start a process that asks providers and keeps their answers; nothing where that cannot be done.

    Args:
        providers: names. moorage's own are left out, for nothing of theirs is kept.
    """
    names = [each for each in providers if each not in OWN]
    if not names:
        return
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    command = [sys.executable, "-m", "moorage.discovery.refresh", *names]
    try:
        os.posix_spawn(sys.executable, command, os.environ, file_actions=nowhere, setsid=True)
    except (OSError, NotImplementedError):  # the listing says what is stale; the next one tries again
        return


def refresh(names: Sequence[str], cache: Cache) -> None:
    """Ask providers at once, and keep what those that are slow answer.

    Args:
        names: of the providers; one that another such process is asking is left out.
        cache: where answers are kept.
    """
    with ExitStack() as stack:
        known = installed()
        mine = {
            name: known[name] for name in names if name in known and stack.enter_context(_alone(cache, name))
        }
        if mine:
            Finder(cache=cache, providers=mine).survey(LONGEST)


@contextmanager
def _alone(cache: Cache, name: str) -> Iterator[bool]:
    """Yield whether no other process is asking this provider; it is locked for the block if so."""
    try:
        cache.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(cache.path(name).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False  # nothing could be kept either
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        free = False
    else:
        free = True
    try:
        yield free
    finally:
        os.close(lock)


def main() -> None:
    """Refresh the providers named on the command line."""
    signal.alarm(int(LONGEST))  # whatever a provider does, this process ends
    os.nice(10)
    os.chdir(Path.home())  # the answers must not depend on it, and no folder is kept busy
    refresh(sys.argv[1:], Cache())


if __name__ == "__main__":
    main()
