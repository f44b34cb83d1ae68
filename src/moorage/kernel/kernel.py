"""One kernel that belongs to the block it was launched in."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import KernelDied
from moorage.kernel.client import Client
from moorage.kernel.deadline import Deadline
from moorage.kernel.quirks import ends_by_shell, interrupt_mode, preparation, published
from moorage.kernel.shown import shown
from moorage.kernel.supervised import SupervisedKernel
from moorage.kernel.supervisor import Supervisor
from moorage.plan.lifecycle import Exited, Lost, Registering, Restarting, Starting, Status
from moorage.process.base import ExitStatus, Handle
from moorage.rendezvous.base import Rendezvous
from moorage.tasks import before_end
from moorage.wire import messages
from moorage.wire.connection import ConnectionInfo


class Kernel(SupervisedKernel):
    """A running kernel that belongs to the block it was launched in.

    Attributes:
        rendezvous: how its addresses were agreed on.
    """

    def __init__(
        self,
        spec: KernelSpec,
        rendezvous: Rendezvous,
        supervisor: Supervisor,
        client: Client,
        info: dict[str, Any],
    ) -> None:
        """Made by :func:`moorage.launch`; ``info`` is the kernel's ``kernel_info_reply``."""
        super().__init__(spec, rendezvous.connection_file, supervisor, client, info)
        self.rendezvous = rendezvous.way
        client.published = published(spec, info, supervisor.clients.activity.own_sessions)

    def __repr__(self) -> str:
        return shown(type(self).__name__, self.spec.called, self.status, self.rendezvous)

    @property
    def process(self) -> Handle:
        """The kernel's process: pid, memory, output, whether it was forked; after a restart another one."""
        return self.supervisor.handle

    def interrupt(self) -> None:
        """Interrupt what runs, by signal or by message as the kernel wants it. Returns at once.

        Where nothing runs nothing is sent: IRkernel may die of a signal then, and others lose what they
        are asked next. Nothing runs in a process that has yet to answer.
        """
        if not (self.client.busy or self.supervisor.clients.activity.busy):
            return
        if isinstance(self.status, Starting | Registering | Restarting):
            return
        if interrupt_mode(self.spec, self.info) == "message":
            self.client.request("control", messages.interrupt_request())
        else:
            self.supervisor.handle.send_signal(signal.SIGINT)

    async def shutdown(self, *, grace: float = 5.0, at_once: bool = False) -> ExitStatus:
        """End the kernel: ask, then SIGTERM, then kill the whole tree.

        Args:
            grace: seconds to wait after each of the first two.
            at_once: kill the tree without asking.

        Returns:
            How it ended. Cancelling stops the wait; the ladder goes on, and leaving the block kills.
        """
        self.supervisor.stop(grace=grace, at_once=at_once)
        return await self.supervisor.wait()

    async def restart(self, *, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - one deadline for three steps
        """Kill the kernel's tree and start it anew at the same addresses; clients stay connected.

        One that registers moves: this client goes with it, others find the new addresses in the
        connection file.

        Args:
            timeout: seconds until the new kernel must answer.

        Raises:
            StartDeath: the new kernel ended before it answered.
            DeadlineExceeded: it did not answer in time.
            KernelDied: it had ended already, or is being ended.

        Cancelling stops the wait, not the restart.
        """
        deadline = Deadline(timeout, self.spec.kernel_type)
        self.supervisor.restart()
        await deadline.answered(self.supervisor)


def not_forked(handle: Handle) -> str:
    """Return why a process was spawned and not forked from a template; empty where it was forked."""
    return str(getattr(handle, "not_forked", "its launcher forks nothing"))


async def agreed(rendezvous: Rendezvous, supervisor: Supervisor, deadline: Deadline) -> ConnectionInfo:
    """Wait for the addresses, for the kernel's death or for the deadline, whichever is first.

    Raises:
        StartDeath: the kernel has died.
        DeadlineExceeded: it chose no addresses in time, and is ended.
    """
    try:
        return await before_end(rendezvous.addresses(), lambda call: on_end(supervisor, call), deadline.at)
    except TimeoutError:
        raise deadline.passed(supervisor) from None


def on_end(supervisor: Supervisor, call: Callable[[], None]) -> Callable[[], None]:
    """Have ``call`` called soon after the kernel has ended for good; returns what calls that off."""
    loop = asyncio.get_running_loop()

    def look(status: Status) -> None:
        if isinstance(status, Exited | Lost):
            loop.call_soon(call)

    look(supervisor.status)
    return supervisor.subscribe(look)


async def ready(
    spec: KernelSpec,
    client: Client,
    supervisor: Supervisor,
    deadline: Deadline,
) -> dict[str, Any]:
    """Wait until the kernel has answered and is prepared; returns its ``kernel_info_reply``.

    Raises:
        StartDeath: the kernel has died.
        DeadlineExceeded: it did not answer in time, and is ended.
    """
    try:
        async with asyncio.timeout_at(deadline.at):
            info = await client.ready(prepare=preparation)
    except KernelDied:
        raise supervisor.start_death() from None
    except TimeoutError:
        raise deadline.passed(supervisor) from None
    supervisor.answer(ends_by_shell=ends_by_shell(spec, info))
    return info


async def greet_again(spec: KernelSpec, rendezvous: Rendezvous, supervisor: Supervisor) -> None:
    """Have all clients speak to a process that was started again, and tell the supervisor of its answer.

    Raises:
        MoorageError: it cannot be spoken to. Cancelling is safe.
    """
    supervisor.clients.move(await rendezvous.addresses())
    info: dict[str, Any] = {}
    for number, client in enumerate(supervisor.clients):
        info = await client.ready(prepare=None if number else preparation)
    supervisor.answer(ends_by_shell=ends_by_shell(spec, info))
