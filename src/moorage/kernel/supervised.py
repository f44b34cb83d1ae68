"""A running kernel: what is the same whether it was launched or found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel.client import Client, InputProvider, Receiver, Result
from moorage.kernel.quirks import late_output
from moorage.kernel.shown import shown
from moorage.kernel.supervisor import Supervisor
from moorage.plan.lifecycle import Status


class SupervisedKernel:
    """A running kernel, with what speaks to it and what watches it.

    Attributes:
        spec: its kernelspec, as far as it is known.
        client: speaks to it; others may be attached beside.
        info: its ``kernel_info_reply``.
        connection_file: by which other programs reach it.
        supervisor: watches its process.
    """

    def __init__(
        self,
        spec: KernelSpec,
        connection_file: Path,
        supervisor: Supervisor,
        client: Client,
        info: dict[str, Any],
    ) -> None:
        """Made by :func:`moorage.launch` and :func:`moorage.attach`."""
        self.spec = spec
        self.client = client
        self.info = info
        self.connection_file = connection_file
        self.supervisor = supervisor

    def __repr__(self) -> str:
        return shown(type(self).__name__, self.spec.called, self.status)

    @property
    def status(self) -> Status:
        """What is true of the kernel now; its pid is 0 where its process is not on this machine."""
        return self.supervisor.status

    def subscribe(self, call: Callable[[Status], None]) -> Callable[[], None]:
        """Have ``call`` called soon after every change with the new status, in the loop's thread.

        Args:
            call: must not block; what it raises goes to the loop's exception handler.

        Returns:
            What ends the subscription; calling it again changes nothing.
        """
        return self.supervisor.subscribe(call)

    async def execute(
        self, code: str, *, receive: Receiver | None = None, stdin: InputProvider | None = None
    ) -> Result:
        """Run code and wait for its end.

        Args:
            code: what to run.
            receive: called with every message of the execution as it comes, beside the collection in the
                result; what it raises is raised here.
            stdin: answers ``input()``, given the prompt and whether it is a password; without it ``input()``
                is an error in the kernel. It returns None when it has interrupted the kernel instead.

        Returns:
            The outputs, the status and the seconds it took. Code that raises is no exception here:
            ``raise_for_error()`` of the result makes one of it.

        Raises:
            KernelDied: the kernel's process ended meanwhile.
            UsageError: the kernel's block has ended.

        Cancelling stops the wait, not the kernel: ``interrupt()`` does that.
        """
        late = late_output(self.spec, self.info)
        return await self.client.execute(code, receive=receive, stdin=stdin, late_output=late)
