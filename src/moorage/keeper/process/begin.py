"""How a keeper begins: its signals, its first link, the message that says what it keeps.

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys

assert sys.platform != "win32", "keepers need Unix sockets and fork"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import beside, charge, door, links, record
    from moorage.keeper.process.server import KeeperServer
    from moorage.wire import link
else:
    from keeper.process.server import KeeperServer

    from keeper.process import beside, charge, door, links, record
    from wire import link


def catch_signals() -> int:
    """Ignore what is meant for other processes; return the read end of the pipe that signals write to."""
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    news, alarm = os.pipe()
    os.set_blocking(news, False)
    os.set_blocking(alarm, False)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing is written
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    return news


def first_messages(first: links.LinkEnd) -> list[dict[str, Any]]:
    """Wait for ``start``; return it with what came behind it, nothing where something else came."""
    poll = select.poll()
    poll.register(first.reader, select.POLLIN)
    while not first.over:
        poll.poll()
        messages = first.receive()
        if messages and messages[0].get("do") == "start":
            return messages
        if messages:
            first.queue.close("the first message is to be start")
        first.flush()
    return []


def serve(
    first_fd: int,
    lock: int,
    execute: charge.Execute | None = None,
    forks: beside.Forks | None = None,
) -> None:
    """Keep what the first link says, to its end.

    Args:
        first_fd: descriptor of the first link.
        lock: of the locked file.
        execute: how the charge becomes its program; None for execve(2).
        forks: what else forks can become; None where they cannot.
    """
    news = catch_signals()
    os.set_blocking(first_fd, False)
    first = links.LinkEnd(first_fd, first_fd, link.MOST_START)
    messages = first_messages(first)
    if not messages:
        record.remove(os.getcwd())  # noqa: PTH109 - pathlib is too large for a keeper
        return
    try:
        keeper = KeeperServer(first, messages[0], door.Door(record.SOCKET), news, execute, forks)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        number = (error.errno if isinstance(error, OSError) else None) or errno.EINVAL
        first.tell(
            {"tell": "failed", "stage": "start", "errno": number, "why": f"{type(error).__name__}: {error}"}
        )
        record.remove(os.getcwd())  # noqa: PTH109 - pathlib is too large for a keeper
        return
    messages.pop(0).clear()  # it holds secrets
    try:
        keeper.obey(first, messages)
        keeper.run()
    finally:
        keeper.end()
        os.close(lock)  # before the links are: what sees them end may tidy
