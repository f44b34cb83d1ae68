"""Kernels that run already, without ``async``; and the process of a kernel of :mod:`moorage.blocking`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from moorage.kernel import attach as asynchronous
from moorage.kernel.blocking_supervised import BlockingKernel
from moorage.kernel.kernel import not_forked
from moorage.kernel.portal import Portal, entered
from moorage.process.base import ExitStatus, Handle


class Process:
    """A kernel's process.

    Attributes:
        pid: its process id.
        not_forked: why it was spawned and not forked from a template; empty where it was forked.
    """

    def __init__(self, handle: Handle, through: Portal) -> None:
        """Made by :attr:`Kernel.process`."""
        self._handle = handle
        self._portal = through
        self.pid = handle.pid
        self.not_forked = not_forked(handle)

    def __repr__(self) -> str:
        ended = "" if self.exit_status is None else f", {self.exit_status.describe()}"
        return f"<Process {self.pid}{ended}>"

    @property
    def forked(self) -> bool:
        """Whether it was forked from a template, and not spawned."""
        return not self.not_forked

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, or None while it lives."""
        return self._handle.exit_status

    def output(self) -> str:
        """Return the newest part of what the process wrote to stdout and stderr."""
        return str(self._portal.call(self._handle.output))

    def memory(self) -> int | None:
        """Return the resident memory of the process and its descendants, in bytes."""
        size: int | None = self._portal.call(self._handle.memory)
        return size

    def wait(self) -> ExitStatus:
        """Wait for its end.

        Returns:
            Exit code or signal.

        Raises:
            WardenLost: the process that would know it is gone.
        """
        return self._portal.run(self._handle.wait())


class AttachedKernel(BlockingKernel[asynchronous.AttachedKernel]):
    """A running kernel that was started elsewhere; it goes on when the block ends.

    Any thread may use it, several at once too. Callbacks are called in a thread of moorage's: there what
    returns at once may be called, such as :meth:`interrupt`, and what waits is a UsageError.
    """

    @property
    def process(self) -> Process | None:
        """What listens at the kernel's address; None where that is not on this machine or not to be seen."""
        process = self._kernel.process
        return None if process is None else Process(process, self._portal)

    def interrupt(self) -> None:
        """Interrupt what runs, whichever client began it. Returns at once."""
        self._portal.call(self._kernel.interrupt)

    def shutdown(self, *, grace: float = 5.0, at_once: bool = False) -> ExitStatus:
        """End the kernel for all its clients: ask, and where its process is on this machine signal it.

        Args:
            grace: seconds to wait after asking, and after SIGTERM.
            at_once: kill it without asking.

        Returns:
            How it ended, as far as that can be known.

        Raises:
            DeadlineExceeded: it was asked in vain, and its process is out of reach.
            UsageError: it is to be killed, and its process is out of reach.
        """
        return self._portal.run(self._kernel.shutdown(grace=grace, at_once=at_once))

    def restart(self, *, timeout: float = 60.0) -> NoReturn:
        """Refuse: a kernel is restarted by the program that started it.

        Raises:
            UsageError: always.
        """
        self._portal.run(self._kernel.restart(timeout=timeout))


@contextmanager
def attach(where: str | Path, *, timeout: float = 60.0) -> Iterator[AttachedKernel]:
    """Attach to a kernel that runs already; leaving the ``with`` block leaves it running.

    Args:
        where: its connection file; or its id, the beginning of it, or its pid, as ``moorage kernels ps``
            shows them; or ``running/ID``.
        timeout: seconds until it must have answered.

    Yields:
        The kernel, ready.

    Raises:
        KernelTypeNotFound: no such kernel runs here.
        KernelDied: the file is there, and its kernel has ended.
        DeadlineExceeded: it did not answer in time.
    """
    with entered(asynchronous.attach(where, timeout=timeout)) as (kernel, through):
        yield AttachedKernel(kernel, through)
