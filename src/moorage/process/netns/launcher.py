"""A launcher whose processes have a network of their own, with a way in for their clients."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.process.base import KILL, LaunchSpec, local
from moorage.tasks import beside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from moorage.process.base import Handle, Launcher

_log = logging.getLogger("moorage.launch")

HELPER = Path(__file__).with_name("relay.py")


@dataclass(frozen=True)
class Relay:
    """Which Unix socket outside leads to which port inside.

    Attributes:
        ports: port on the loopback inside, by the path of its socket outside.
    """

    ports: Mapping[Path, int]

    def spec(self, pid: int) -> LaunchSpec:
        """Return the process that relays to the namespace of ``pid``."""
        pairs = [f"{path}={port}" for path, port in self.ports.items()]
        argv = (sys.executable, "-I", "-S", "-E", str(HELPER), str(pid), *pairs)
        return LaunchSpec(argv, "/", {"PATH": os.defpath}, keep_output=4096)


class IsolatedLauncher:
    """Launches through another launcher of this machine, each process in a network namespace of its own.

    The loopback is up in it, and nothing else is there. Unix sockets with a path lead in and out.

    Args:
        inner: starts the processes.
        relay: the way in, for a process that listens on TCP only.
    """

    def __init__(self, inner: Launcher, relay: Relay | None = None) -> None:
        self._inner = inner
        self._relay = relay

    @asynccontextmanager
    async def launch(self, spec: LaunchSpec) -> AsyncIterator[Handle]:
        """Start ``spec``; leaving the block kills what is left of it, and the namespace goes with it.

        Cancelling at any point leaves nothing behind.

        Raises:
            IsolationError: this machine gives no network namespace.
            LaunchError, WardenLost: as from the inner launcher.
        """
        async with self._inner.launch(replace(local(spec), isolate="net")) as handle:
            if self._relay is None:
                yield handle
                return
            async with (
                self._inner.launch(self._relay.spec(handle.pid)) as relay,
                beside(_watch(relay, handle), name=f"relay of {handle.id}"),
            ):
                yield handle


async def _watch(relay: Handle, handle: Handle) -> None:
    """End the process whose relay has ended: no client would hear of it again."""
    status = await relay.wait()
    if handle.exit_status is None:
        said = relay.output().strip().rpartition("\n")[2]
        _log.error("%s is ended because its relay has: %s. %s", handle.id, status.describe(), said)
        handle.send_signal(KILL)
