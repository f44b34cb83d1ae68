"""The same kernels without ``async``: for scripts and REPLs.

    with moorage.blocking.launch("python3") as kernel:
        kernel.execute("1 + 1")

It works where a loop already runs in the calling thread, as in a notebook; see :mod:`moorage.kernel.portal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel import attach as asynchronous_attach
from moorage.kernel import kernel as asynchronous
from moorage.kernel.client import Client, InputProvider, Receiver, Result
from moorage.kernel.portal import Portal, portal
from moorage.plan.lifecycle import Status
from moorage.process.base import ExitStatus, Handle, Isolate
from moorage.process.environment import Changes
from moorage.process.local import Fork
from moorage.process.options import ProcessOptions
from moorage.rendezvous.base import Choice, Way

T = TypeVar("T")

__all__ = ["AttachedKernel", "Kernel", "Process", "attach", "launch", "portal"]


class Process:
    """A kernel's process; the names and their meaning are those of :class:`moorage.process.base.Handle`."""

    def __init__(self, handle: Handle, through: Portal) -> None:
        """Made by :attr:`Kernel.process`."""
        self._handle = handle
        self._portal = through
        self.pid = handle.pid
        self.not_forked = asynchronous.not_forked(handle)

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

        Raises:
            WardenLost: nobody can know any more.
        """
        return self._portal.run(self._handle.wait())


class Kernel:
    """A running kernel; the names and their meaning are those of :class:`moorage.kernel.kernel.Kernel`.

    Any thread may use it, several at once too. Callbacks are called in the portal's thread: there what
    returns at once may be called, such as :meth:`interrupt`, and what waits is a UsageError.
    """

    def __init__(self, kernel: asynchronous.Kernel, through: Portal) -> None:
        """Made by :func:`launch`."""
        self._kernel = kernel
        self._portal = through
        self.spec: KernelSpec = kernel.spec
        self.info: dict[str, Any] = kernel.info
        self.rendezvous: Way = kernel.rendezvous
        self.connection_file: Path = kernel.connection_file

    @property
    def client(self) -> Client:
        """The asynchronous client; it belongs to the portal's loop."""
        return self._kernel.client

    @property
    def status(self) -> Status:
        """What is true of the kernel now."""
        return self._kernel.status

    @property
    def process(self) -> Process:
        """The kernel's process: its pid, memory and output; after a restart another one."""
        return Process(self._kernel.process, self._portal)

    def execute(
        self, code: str, *, receive: Receiver | None = None, stdin: InputProvider | None = None
    ) -> Result:
        """Run code; see :meth:`moorage.kernel.client.Client.execute`.

        Raises:
            KernelDied: the kernel's process ended meanwhile.
            KeyboardInterrupt: the wait was interrupted; the kernel goes on: :meth:`interrupt` stops it.
        """
        return self._portal.run(self._kernel.execute(code, receive=receive, stdin=stdin))

    def interrupt(self) -> None:
        """Interrupt what runs. Returns at once."""
        self._portal.call(self._kernel.interrupt)

    def expire(self) -> None:
        """End the kernel because a deadline passed. Returns at once."""
        self._portal.call(self._kernel.expire)

    def shutdown(self, *, grace: float = 5.0, at_once: bool = False) -> ExitStatus:
        """End the kernel: ask, then SIGTERM, then kill the whole tree; ``grace`` seconds for each."""
        return self._portal.run(self._kernel.shutdown(grace=grace, at_once=at_once))

    def restart(self, *, timeout: float = 60.0) -> None:
        """Kill the kernel's tree and start it anew at the same addresses, within ``timeout`` seconds.

        Raises:
            StartDeath, DeadlineExceeded: as from :func:`launch`.
            KernelDied: it had ended already.
        """
        self._portal.run(self._kernel.restart(timeout=timeout))


class AttachedKernel:
    """A kernel of somebody else; the names are those of :class:`moorage.kernel.attach.AttachedKernel`.

    What is said of threads and callbacks by :class:`Kernel` is true here too.
    """

    def __init__(self, kernel: asynchronous_attach.AttachedKernel, through: Portal) -> None:
        """Made by :func:`attach`."""
        self._kernel = kernel
        self._portal = through
        self.spec: KernelSpec = kernel.spec
        self.info: dict[str, Any] = kernel.info
        self.connection_file: Path = kernel.connection_file

    @property
    def client(self) -> Client:
        """The asynchronous client; it belongs to the portal's loop."""
        return self._kernel.client

    @property
    def status(self) -> Status:
        """What is true of the kernel now; its pid is 0 where its process is not on this machine."""
        return self._kernel.status

    @property
    def process(self) -> Process | None:
        """What listens at the kernel's address; None where that is not on this machine or not to be seen."""
        process = self._kernel.process
        return None if process is None else Process(process, self._portal)

    def execute(
        self, code: str, *, receive: Receiver | None = None, stdin: InputProvider | None = None
    ) -> Result:
        """Run code; see :meth:`Kernel.execute`."""
        return self._portal.run(self._kernel.execute(code, receive=receive, stdin=stdin))

    def interrupt(self) -> None:
        """Interrupt what runs, whoever began it. Returns at once."""
        self._portal.call(self._kernel.interrupt)

    def shutdown(self, *, grace: float = 5.0, at_once: bool = False) -> ExitStatus:
        """End the kernel for everybody; see :meth:`moorage.kernel.attach.AttachedKernel.shutdown`."""
        return self._portal.run(self._kernel.shutdown(grace=grace, at_once=at_once))

    def restart(self, *, timeout: float = 60.0) -> NoReturn:
        """Refuse: who started a kernel restarts it.

        Raises:
            UsageError: always.
        """
        self._portal.run(self._kernel.restart(timeout=timeout))


@contextmanager
def launch(
    kernel_type: str | KernelSpec = "python3",
    *,
    cwd: str | Path | None = None,
    env: Changes | None = None,
    rendezvous: Choice = "auto",
    kernel_args: Sequence[str] = (),
    timeout: float = 60.0,
    fork: Fork = "auto",
    isolate: Isolate = "none",
    process: ProcessOptions | None = None,
) -> Iterator[Kernel]:
    """Launch a kernel that lives as long as the ``with`` block.

    Arguments, what is yielded and what is raised are those of :func:`moorage.kernel.kernel.launch`.
    Ctrl-C while it starts or ends kills it.
    """
    made = asynchronous.launch(
        kernel_type,
        cwd=cwd,
        env=env,
        rendezvous=rendezvous,
        kernel_args=kernel_args,
        timeout=timeout,
        fork=fork,
        isolate=isolate,
        process=process,
    )
    with _entered(made) as (kernel, through):
        yield Kernel(kernel, through)


@contextmanager
def attach(where: str | Path, *, timeout: float = 60.0) -> Iterator[AttachedKernel]:
    """Attach to a kernel that runs already; leaving the ``with`` block leaves it running.

    Arguments, what is yielded and what is raised are those of :func:`moorage.kernel.attach.attach`.
    """
    with _entered(asynchronous_attach.attach(where, timeout=timeout)) as (kernel, through):
        yield AttachedKernel(kernel, through)


@contextmanager
def _entered(block: AbstractAsyncContextManager[T]) -> Iterator[tuple[T, Portal]]:
    through = portal()
    entered = through.enter(block)
    try:
        yield entered, through
    except BaseException as error:
        # The block's exception passes; the asynchronous block hears of it and kills without asking.
        through.leave(block, error)
        raise
    else:
        through.leave(block, None)
