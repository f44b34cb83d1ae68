"""The same kernels without ``async``: for scripts and REPLs.

    with moorage.blocking.launch("python3") as kernel:
        kernel.execute("1 + 1")

    kernel = moorage.blocking.start("python3")  # without a block: until close(), or the end of this process
    kernel.execute("1 + 1")
    kernel.close()

It works where a loop already runs in the calling thread, as in a notebook; see :mod:`moorage.kernel.portal`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self, Unpack

from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel import kernel as asynchronous_kernel
from moorage.kernel import launch as asynchronous
from moorage.kernel.blocking_attach import AttachedKernel, Process, attach
from moorage.kernel.blocking_supervised import BlockingKernel
from moorage.kernel.options import LaunchOptions, spelled_out_as
from moorage.kernel.portal import Portal, entered, portal
from moorage.kernel.shown import shown
from moorage.process.base import ExitStatus
from moorage.rendezvous.base import Way

__all__ = ["AttachedKernel", "Kernel", "Process", "StartedKernel", "attach", "launch", "portal", "start"]


class Kernel(BlockingKernel[asynchronous_kernel.Kernel]):
    """A running kernel that belongs to the block it was launched in.

    Any thread may use it, several at once too. Callbacks are called in a thread of moorage's: there what
    returns at once may be called, such as :meth:`interrupt`, and what waits is a UsageError.

    Attributes:
        rendezvous: how addresses were agreed on: ``ipc``, ``hold``, ``self-bind`` or ``handshake``.
    """

    def __init__(self, kernel: asynchronous_kernel.Kernel, through: Portal) -> None:
        """Made by :func:`launch`."""
        super().__init__(kernel, through)
        self.rendezvous: Way = kernel.rendezvous

    def __repr__(self) -> str:
        return shown(type(self).__name__, self.spec.called, self.status, self.rendezvous)

    @property
    def process(self) -> Process:
        """The kernel's process: its pid, memory and output; after a restart another one."""
        return Process(self._kernel.process, self._portal)

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


@spelled_out_as(asynchronous.launch)
def launch(
    kernel_type: str | KernelSpec = "python3", **options: Unpack[LaunchOptions]
) -> AbstractContextManager[Kernel]:
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
        restarts: how often within a minute it is started again if it dies, or a
            :class:`moorage.RestartPolicy`; None for never.

    Returns:
        A block, to be entered by ``with``: it yields the kernel, ready. Leaving it ends the kernel and
        everything that it started.

    Raises:
        KernelTypeNotFound: there is no such kernel type.
        UsageError: a value has the wrong type, names what there is not, or does not go with another.
        IsolationError: this machine gives no network namespace.
        LaunchError: its program or the working directory cannot be used.
        StartDeath: it ended before it answered.
        DeadlineExceeded: it did not answer in time.

    Ctrl-C while it starts or ends kills it.
    """
    return _launched(_block(kernel_type, options))


def _block(
    kernel_type: str | KernelSpec, options: LaunchOptions
) -> AbstractAsyncContextManager[asynchronous_kernel.Kernel]:
    if "warden" in options:  # it belongs to another loop
        raise TypeError("launch() got an unexpected keyword argument 'warden'")
    return asynchronous.launch(kernel_type, **options)


@contextmanager
def _launched(block: AbstractAsyncContextManager[asynchronous_kernel.Kernel]) -> Iterator[Kernel]:
    with entered(block) as (kernel, through):
        yield Kernel(kernel, through)


@spelled_out_as(asynchronous.launch)
def start(kernel_type: str | KernelSpec = "python3", **options: Unpack[LaunchOptions]) -> StartedKernel:
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
        restarts: how often within a minute it is started again if it dies, or a
            :class:`moorage.RestartPolicy`; None for never.

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
    block = _block(kernel_type, options)
    through = portal()
    return StartedKernel(through.enter(block), through, block)
