"""The same kernels without ``async``: for scripts and REPLs.

    with moorage.blocking.launch("python3") as kernel:
        kernel.execute("1 + 1")

    kernel = moorage.blocking.start("python3")  # without a block: until close(), or the end of this process
    kernel.execute("1 + 1")
    kernel.close()

It works where a loop already runs in the calling thread, as in a notebook; see :mod:`moorage.kernel.portal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel import kernel as asynchronous_kernel
from moorage.kernel import launch as asynchronous
from moorage.kernel.blocking_attach import AttachedKernel, Process, attach
from moorage.kernel.client import Client, InputProvider, Receiver, Result
from moorage.kernel.portal import Portal, entered, portal
from moorage.kernel.shown import shown
from moorage.places.base import Place
from moorage.plan.lifecycle import Status
from moorage.process.base import ExitStatus, Isolate
from moorage.process.environment import Changes
from moorage.process.local import Fork
from moorage.process.options import ProcessOptions
from moorage.rendezvous.base import Choice, Way

__all__ = ["AttachedKernel", "Kernel", "Process", "StartedKernel", "attach", "launch", "portal", "start"]


class Kernel:
    """A running kernel that belongs to the block it was launched in.

    Any thread may use it, several at once too. Callbacks are called in a thread of moorage's: there what
    returns at once may be called, such as :meth:`interrupt`, and what waits is a UsageError.

    Attributes:
        spec: its kernelspec.
        info: its ``kernel_info_reply``.
        rendezvous: how addresses were agreed on: ``ipc``, ``hold``, ``self-bind`` or ``handshake``.
        connection_file: for other clients.
    """

    def __init__(self, kernel: asynchronous_kernel.Kernel, through: Portal) -> None:
        """Made by :func:`launch`."""
        self._kernel = kernel
        self._portal = through
        self.spec: KernelSpec = kernel.spec
        self.info: dict[str, Any] = kernel.info
        self.rendezvous: Way = kernel.rendezvous
        self.connection_file: Path = kernel.connection_file

    def __repr__(self) -> str:
        return shown(type(self).__name__, self.spec.called, self.status, self.rendezvous)

    @property
    def client(self) -> Client:
        """The asynchronous client; it belongs to the loop in moorage's thread."""
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
        """Run code and wait for its end.

        Args:
            code: what to run.
            receive: called with every message of the execution as it comes, in moorage's thread.
            stdin: answers ``input()``, given the prompt and whether it is a password; without it ``input()``
                is an error in the kernel. It returns None when it has interrupted the kernel instead.

        Returns:
            The outputs, the status and the seconds it took. Code that raises is no exception here:
            ``raise_for_error()`` of the result makes one of it.

        Raises:
            KernelDied: the kernel's process ended meanwhile.
            UsageError: the kernel's block has ended.
            KeyboardInterrupt: the wait was interrupted; the kernel goes on: :meth:`interrupt` stops it.
        """
        return self._portal.run(self._kernel.execute(code, receive=receive, stdin=stdin))

    def interrupt(self) -> None:
        """Interrupt what runs, by signal or by message as the kernelspec wants it. Returns at once."""
        self._portal.call(self._kernel.interrupt)

    def shutdown(self, *, grace: float = 5.0, at_once: bool = False) -> ExitStatus:
        """End the kernel before its block does: ask, then SIGTERM, then kill the whole tree.

        Args:
            grace: seconds to wait after each of the first two.
            at_once: kill the tree without asking.

        Returns:
            How it ended. Interrupting the wait does not stop the end.
        """
        return self._portal.run(self._kernel.shutdown(grace=grace, at_once=at_once))

    def restart(self, *, timeout: float = 60.0) -> None:
        """Kill the kernel's tree and start it anew at the same addresses; clients stay connected.

        Args:
            timeout: seconds until the new kernel must answer.

        Raises:
            StartDeath: it ended before it answered.
            DeadlineExceeded: it did not answer in time.
            KernelDied: it had ended already.
        """
        self._portal.run(self._kernel.restart(timeout=timeout))


class StartedKernel(Kernel):
    """A kernel without a block, made by :func:`start`: it ends with :meth:`close`, or with this process."""

    def __init__(self, kernel: asynchronous_kernel.Kernel, through: Portal, block: object) -> None:
        """Made by :func:`start`; ``block`` is the asynchronous block that was entered."""
        super().__init__(kernel, through)
        self._block = block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal.leave(self._block, error)

    def close(self) -> None:
        """End the kernel and everything it started, and return when nothing of it is left.

        A second call does nothing. Interrupting the wait kills the kernel.
        """
        self._portal.leave(self._block, None)


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
    place: Place | None = None,
) -> Iterator[Kernel]:
    """Launch a kernel that lives as long as the ``with`` block.

    Args:
        kernel_type: a name (``python3``, ``spec/ir``) or a kernelspec.
        cwd: the kernel's working directory; default is the present one.
        env: added to this process's environment; None unsets a variable.
        rendezvous: how to agree on addresses; ``auto`` picks what suits the kernel.
        kernel_args: appended to the kernel's command.
        timeout: seconds until the kernel must have answered.
        fork: fork it from a template with its imports done, where that can be done: True always, False
            never, ``auto`` from the second one alike on.
        isolate: ``net`` gives it a network namespace of its own.
        process: user, group, umask, limits and descriptors, where they are not to be this process's.
        place: where it runs; default is this machine, as the three before say.

    Yields:
        The kernel, ready. Leaving the block ends it and everything it started.

    Raises:
        KernelTypeNotFound: there is no such kernel type.
        UsageError: a value has the wrong type, names what there is not, or does not go with another.
        IsolationError: this machine gives no network namespace.
        LaunchError: its program or the working directory cannot be used.
        StartDeath: it ended before it answered.
        DeadlineExceeded: it did not answer in time.

    Ctrl-C while it starts or ends kills it.
    """
    block = asynchronous.launch(
        kernel_type,
        cwd=cwd,
        env=env,
        rendezvous=rendezvous,
        kernel_args=kernel_args,
        timeout=timeout,
        fork=fork,
        isolate=isolate,
        process=process,
        place=place,
    )
    with entered(block) as (kernel, through):
        yield Kernel(kernel, through)


def start(
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
    place: Place | None = None,
) -> StartedKernel:
    """Start a kernel without a block, for a REPL or a notebook.

    Args:
        kernel_type: a name (``python3``, ``spec/ir``) or a kernelspec.
        cwd: the kernel's working directory; default is the present one.
        env: added to this process's environment; None unsets a variable.
        rendezvous: how to agree on addresses; ``auto`` picks what suits the kernel.
        kernel_args: appended to the kernel's command.
        timeout: seconds until the kernel must have answered.
        fork: fork it from a template with its imports done, where that can be done: True always, False
            never, ``auto`` from the second one alike on.
        isolate: ``net`` gives it a network namespace of its own.
        process: user, group, umask, limits and descriptors, where they are not to be this process's.
        place: where it runs; default is this machine, as the three before say.

    Returns:
        The kernel, ready. It ends with its ``close()``; without that, with this process, however that ends.

    Raises:
        KernelTypeNotFound: there is no such kernel type.
        UsageError: a value has the wrong type, names what there is not, or does not go with another.
        IsolationError: this machine gives no network namespace.
        LaunchError: its program or the working directory cannot be used.
        StartDeath: it ended before it answered.
        DeadlineExceeded: it did not answer in time.

    Ctrl-C while it starts kills it.
    """
    block = asynchronous.launch(
        kernel_type,
        cwd=cwd,
        env=env,
        rendezvous=rendezvous,
        kernel_args=kernel_args,
        timeout=timeout,
        fork=fork,
        isolate=isolate,
        process=process,
        place=place,
    )
    through = portal()
    return StartedKernel(through.enter(block), through, block)
