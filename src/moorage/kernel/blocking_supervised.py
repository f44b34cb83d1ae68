"""Without ``async``: what is the same of a kernel whether it was launched or found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel.client import Client, InputProvider, Receiver, Result
from moorage.kernel.portal import Portal
from moorage.kernel.shown import shown
from moorage.kernel.supervised import SupervisedKernel
from moorage.plan.lifecycle import Status

K = TypeVar("K", bound=SupervisedKernel)


class BlockingKernel(Generic[K]):
    """A running kernel; any thread may use it, several at once too.

    Callbacks are called in a thread of moorage's: there what returns at once may be called, such as
    ``interrupt()``, and what waits is a UsageError.

    Attributes:
        spec: its kernelspec, as far as it is known.
        info: its ``kernel_info_reply``.
        connection_file: for other clients.
    """

    def __init__(self, kernel: K, through: Portal) -> None:
        """Made by the functions of :mod:`moorage.blocking`."""
        self._kernel = kernel
        self._portal = through
        self.spec: KernelSpec = kernel.spec
        self.info: dict[str, Any] = kernel.info
        self.connection_file: Path = kernel.connection_file

    def __repr__(self) -> str:
        return shown(type(self).__name__, self.spec.called, self.status)

    @property
    def client(self) -> Client:
        """The asynchronous client; it belongs to the loop in moorage's thread."""
        return self._kernel.client

    @property
    def status(self) -> Status:
        """What is true of the kernel now; its pid is 0 where its process is not on this machine."""
        return self._kernel.status

    def subscribe(self, call: Callable[[Status], None]) -> Callable[[], None]:
        """Have ``call`` called soon after every change with the new status, in moorage's thread.

        Args:
            call: must not block; what it raises is logged.

        Returns:
            What ends the subscription; calling it again changes nothing.
        """
        end = self._portal.call(self._kernel.subscribe, call)
        return lambda: self._portal.call(end)

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
            KeyboardInterrupt: the wait was interrupted; the kernel goes on: ``interrupt()`` stops it.
        """
        return self._portal.run(self._kernel.execute(code, receive=receive, stdin=stdin))
