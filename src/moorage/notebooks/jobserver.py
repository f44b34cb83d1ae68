"""A client of GNU make's jobserver: under ``make -j4`` make and moorage run four jobs together.

The jobserver is a pipe full of single bytes, the tokens. Every program make starts may run one job without
asking; for each further one it takes a token out of the pipe and puts *the same byte* back when done.

* make up to 4.3 hands down both ends of an unnamed pipe, but only to recipes marked ``+``. Their flags are
  shared with make itself and so not ours to change: the read end is opened anew through ``/proc/self/fd``,
  which makes an open file description of our own that may be non-blocking.
* make from 4.4 on makes a named pipe that any program can open.

After SIGKILL a program gives nothing back, and make would go on with fewer jobs than it was allowed. So
every change of what is held is told at once (``changed``): the warden, which outlives moorage, can put the
rest back with :func:`give_back`. Only a kill in the microseconds between a token and its telling loses it.

Source: https://www.gnu.org/software/make/manual/html_node/POSIX-Jobserver.html
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct


class Pipe(Struct, frozen=True):
    """The jobserver of make up to 4.3: inherited ends of an unnamed pipe."""

    read: int
    write: int


class Fifo(Struct, frozen=True):
    """The jobserver of make from 4.4 on: a named pipe."""

    path: str


class Unusable(Struct, frozen=True):
    """make runs jobs in parallel but did not let this program take part; ``reason`` is for the user."""

    reason: str


Advertised = Pipe | Fifo

# Windows, where make has a semaphore instead (never found by find), knows neither flag.
_OURS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class GiveBackPlan(Struct, frozen=True):
    """What another process has to do if this one is killed: write ``tokens`` to ``write``.

    Attributes:
        write: path of the named pipe, or the inherited descriptor: what gives back must be sent it.
        tokens: the bytes to put back.
    """

    write: str | int
    tokens: bytes


def advertised(makeflags: str) -> Advertised | None:
    """Return the jobserver a value of MAKEFLAGS speaks of; of several the last counts.

    Negative descriptors, which say "there is one, but not for you", come back as they are.
    """
    place: Advertised | None = None
    for word in makeflags.split():
        if word == "--":  # variables follow
            break
        name, _, value = word.partition("=")
        if name not in ("--jobserver-auth", "--jobserver-fds"):
            continue
        read, _, write = value.partition(",")
        if value.startswith("fifo:"):
            place = Fifo(value.removeprefix("fifo:"))
        elif _is_number(read) and _is_number(write):
            place = Pipe(int(read), int(write))
    return place


def jobs_of(environ: Mapping[str, str]) -> int | None:
    """Return how many jobs make and all that it starts may run at once; None where it does not say.

    Args:
        environ: the process's environment: ``-jN`` in MAKEFLAGS counts.
    """
    found = [re.fullmatch(r"-j(\d{1,6})", word) for word in environ.get("MAKEFLAGS", "").split()]
    numbers = [int(match[1]) for match in found if match is not None]
    return numbers[-1] if numbers and numbers[-1] > 0 else None


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def find(environ: Mapping[str, str]) -> Advertised | Unusable | None:
    """Return the jobserver this process may use, why not, or None where no make runs jobs in parallel.

    Args:
        environ: the process's environment: MAKEFLAGS counts.
    """
    place = advertised(environ.get("MAKEFLAGS", ""))
    match place:
        case None:
            return None
        case Fifo(path):
            return place if _is_fifo(path) else Unusable(f"make's jobserver {path} is not there")
        case Pipe():
            if _is_pipe(place):
                return place
            return Unusable(
                "make -j did not hand down its jobserver, so one notebook runs at a time: "
                "mark the recipe with + (as in `+moorage render ...`), or give -j to moorage"
            )


def _is_fifo(path: str | int) -> bool:
    try:
        status = os.fstat(path) if isinstance(path, int) else Path(path).stat()
        return stat.S_ISFIFO(status.st_mode)
    except OSError:
        return False


def _is_pipe(place: Pipe) -> bool:
    """Say whether the numbers are both ends of one pipe, not whatever was opened under them since."""
    if min(place.read, place.write) < 0 or not _is_fifo(place.read) or not _is_fifo(place.write):
        return False
    read, write = os.fstat(place.read), os.fstat(place.write)
    return (read.st_dev, read.st_ino) == (write.st_dev, write.st_ino)


def give_back(plan: GiveBackPlan) -> None:
    """Put the tokens back; no error when make has gone.

    For a process that outlives a killed moorage. Needs neither a loop nor anything else of this module.
    """
    if not plan.tokens:
        return
    try:
        if isinstance(plan.write, int):
            os.write(plan.write, plan.tokens)
            return
        descriptor = os.open(plan.write, os.O_WRONLY | _OURS)
    except OSError:
        return
    try:
        os.write(descriptor, plan.tokens)
    except OSError:
        return
    finally:
        os.close(descriptor)


class Jobserver:
    """Tokens from make, asked for without blocking the event loop; leaving the block gives back all.

    Args:
        place: where the jobserver is, from :func:`find`.
        gained: called from the event loop for each token that came.
        changed: called with every change of what would have to be given back, before anything else happens.
    """

    def __init__(
        self,
        place: Advertised,
        *,
        gained: Callable[[], None],
        changed: Callable[[GiveBackPlan], None] = lambda _: None,
    ) -> None:
        self._place = place
        self._gained = gained
        self._changed = changed
        self._tokens = b""
        self._wanted = 0
        self._descriptor: int | None = None

    async def __aenter__(self) -> Self:
        """Open a reading end of our own.

        Raises:
            OSError: the jobserver cannot be opened (it is gone, or this system has no /proc).
        """
        path = self._place.path if isinstance(self._place, Fifo) else f"/proc/self/fd/{self._place.read}"
        self._descriptor = os.open(path, os.O_RDONLY | _OURS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.want(0)
        self.give_back(self.held)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def held(self) -> int:
        """How many tokens are held now; the one job that needs no token is not counted."""
        return len(self._tokens)

    def want(self, count: int) -> None:
        """Ask for ``count`` more tokens from now on; replaces every earlier wish, 0 withdraws it.

        ``gained`` is called once for each that comes, never from within this call.
        """
        if self._descriptor is None:
            raise RuntimeError("the jobserver is not open: use `async with`")
        loop = asyncio.get_running_loop()
        if count and not self._wanted:
            loop.add_reader(self._descriptor, self._readable)
        elif self._wanted and not count:
            loop.remove_reader(self._descriptor)
        self._wanted = count

    def give_back(self, count: int) -> None:
        """Put ``count`` of the held tokens back.

        Raises:
            ValueError: more than are held.
        """
        if not 0 <= count <= self.held:
            raise ValueError(f"{count} tokens to give back, {self.held} held")
        if count:
            back, self._tokens = self._tokens[-count:], self._tokens[:-count]
            give_back(GiveBackPlan(self._write_end(), back))
            self._changed(self.give_back_plan())

    def give_back_plan(self) -> GiveBackPlan:
        """Return what has to be done if this process is killed now."""
        return GiveBackPlan(self._write_end(), self._tokens)

    def _write_end(self) -> str | int:
        return self._place.path if isinstance(self._place, Fifo) else self._place.write

    def _readable(self) -> None:
        while self._wanted and self._descriptor is not None:
            try:
                token = os.read(self._descriptor, 1)
            except BlockingIOError:  # another client was faster
                return
            except OSError:
                token = b""
            if not token:  # make is gone: no more will come
                self.want(0)
                return
            self._tokens += token
            self._changed(self.give_back_plan())
            self.want(self._wanted - 1)
            self._gained()
