"""How a kernel is started: resolved, given a place, tried in one way after another, and proven to answer."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.discovery.finder import entered, resolve
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded, KernelDied, StartDeath, UsageError
from moorage.kernel.deadline import Deadline
from moorage.kernel.supervisor import Supervisor
from moorage.kinds import kind_of
from moorage.places.base import Place, Workspace
from moorage.places.here import Here
from moorage.process.base import LaunchSpec
from moorage.process.environment import Changes, changed
from moorage.rendezvous.base import Choice, Rendezvous, Way
from moorage.rendezvous.choice import known_as, make
from moorage.rendezvous.ipc import NoSockets, refused
from moorage.rendezvous.memory import Outcome, memory
from moorage.tasks import beside

if TYPE_CHECKING:
    from moorage.kernel.kernel import Kernel

_log = logging.getLogger("moorage.kernel")

REGISTERED = 10.0
"""Seconds in which a kernel that is to register must have done so, or another way is tried. xeus and ark give
up five seconds after they have asked; what comes before is their start on a busy machine."""


def place_of(place: Place | None, **here: Any) -> Place:
    """Return the place that a launch names: by itself, or by what is particular to this machine.

    Args:
        place: the one named, or None.
        **here: ``warden``, ``fork``, ``isolate`` and ``process`` of :func:`moorage.launch`.

    Raises:
        UsageError: both are named.
    """
    own = Here(here["fork"], here["isolate"], here["process"], here["warden"])
    if place is None:
        return own
    if own != Here():
        raise UsageError(
            "fork, isolate, process and warden say how this machine is used, and another place was named",
            do="Leave them out, or name moorage.places.here.Here with them as the place",
        )
    return place


@asynccontextmanager
async def started(
    kernel_type: str | KernelSpec,
    place: Place,
    *,
    cwd: str | Path | None,
    env: Changes | None,
    rendezvous: Choice,
    kernel_args: tuple[str, ...],
    timeout: float,  # noqa: ASYNC109 - one deadline for three steps
) -> AsyncIterator[Kernel]:
    """Start a kernel for as long as the block lasts, with the arguments and errors of moorage.launch."""
    spec = await resolve(kernel_type) if isinstance(kernel_type, str) else kernel_type
    deadline = Deadline(timeout, spec.kernel_type)
    if spec.launcher is not None and isinstance(place, Here):
        place = replace(place, wrap=spec.launcher)
    tries = place.ways(spec, rendezvous)
    async with AsyncExitStack() as stack:
        workspace = await stack.enter_async_context(place.open())
        around = await entered(spec, changed(workspace.environment, env))
        start = _Start(spec, kernel_args, workspace.process(cwd, around), workspace, rendezvous)
        kernel = await _first_that_works(stack, tries, start, deadline)
        if tries[0] == "handshake":
            outcome: Outcome = "registers" if kernel.rendezvous == "handshake" else "does not register"
            memory().remember(known_as(spec), outcome)
        yield kernel
        await kernel.shutdown()


@dataclass(frozen=True)
class _Start:
    """What is to be started, but for the rendezvous and so the command."""

    spec: KernelSpec
    kernel_args: tuple[str, ...]
    process: LaunchSpec
    workspace: Workspace
    wanted: Choice

    @asynccontextmanager
    async def by(self, way: Way, deadline: Deadline) -> AsyncIterator[tuple[Rendezvous, Supervisor]]:
        """Begin to start it with one rendezvous; leaving the block ends it."""
        spec = self.spec
        key = secrets.token_hex(32).encode()
        rendezvous = make(way, self.workspace.directory, key, spec.called, spec, ip=self.workspace.ip)
        with closing(rendezvous):
            launcher, file = await self.workspace.route(spec, self.wanted, rendezvous)
            supervisor = Supervisor(
                spec.kernel_type,
                replace(self.process, argv=spec.command(file, self.kernel_args)),
                launcher,
                ends_by_shell=kind_of(spec.argv).ends_by_shell,
                renew=rendezvous.renew,
                answered=rendezvous.answered,
            )
            async with beside(supervisor.keep(), name=f"keep {spec.name}"):
                await deadline.started(supervisor)
                yield rendezvous, supervisor


async def _first_that_works(
    stack: AsyncExitStack, tries: Sequence[Way], start: _Start, deadline: Deadline
) -> Kernel:
    """Start the kernel in the first way that works: in the next where it does not register or bind ipc."""
    for way in tries:
        last = way is tries[-1]
        async with AsyncExitStack() as attempt:
            try:
                rendezvous, supervisor = await attempt.enter_async_context(start.by(way, deadline))
                kernel = await _tried(attempt, start.spec, rendezvous, supervisor, deadline, last=last)
            except (NoSockets, StartDeath) as error:
                if last or way != "ipc" or not (isinstance(error, NoSockets) or refused(error.output)):
                    raise
                _log.warning("%s is started with TCP ports: %s", start.spec.kernel_type, error)
                continue
            if kernel is not None:
                await stack.enter_async_context(attempt.pop_all())
                return kernel
    raise AssertionError("there is always a way to try")


async def _tried(
    attempt: AsyncExitStack,
    spec: KernelSpec,
    rendezvous: Rendezvous,
    supervisor: Supervisor,
    deadline: Deadline,
    *,
    last: bool,
) -> Kernel | None:
    """Wait for a kernel that was started in one way; None where it does not register as it was to."""
    # Imported while the kernel starts: pyzmq and the client take 20 ms, once in a process.
    from moorage.kernel.client import Client  # noqa: PLC0415 - see above
    from moorage.kernel.kernel import Kernel, agreed, ready  # noqa: PLC0415 - see above

    try:
        patience = deadline if last else deadline.sooner(REGISTERED)
        addresses = await agreed(rendezvous, supervisor, patience)
    except (DeadlineExceeded, KernelDied):
        if last or rendezvous.way != "handshake":
            raise
        return None
    session = secrets.token_hex(8)
    client = Client(addresses, session, lambda: secrets.token_hex(16))
    await attempt.enter_async_context(client)
    supervisor.clients.attach(client, session)
    info = await ready(spec, client, supervisor, deadline, addresses)
    return Kernel(spec, rendezvous, supervisor, client, info)
