"""A provisioner whose kernels another process takes over: what is told of them, and what is made of that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from moorage.json_types import JsonObject
from moorage.jupyter.addresses import Addresses, Asked
from moorage.jupyter.process import resume
from moorage.jupyter.provisioner import MoorageProvisioner
from moorage.jupyter.requested import Requested
from moorage.places.base import Agreement
from moorage.places.here import Here, LocalWorkspace
from moorage.process.base import ProcessId
from moorage.rendezvous.ipc import IpcRendezvous


class KeptProvisioner(MoorageProvisioner):
    """Starts kernels that the warden beside this process's keeper owns, and takes over those that it has."""

    async def get_provisioner_info(self) -> JsonObject:
        """Return what another process needs to take the kernel over, as ``moorage`` where that can be."""
        info: JsonObject = await super().get_provisioner_info()
        workspace = None if self._addresses is None else self._addresses.workspace
        plain = isinstance(self._place, Here) and self._place.plain and self._ways[:1] == ("ipc",)
        if self._owned is None or not isinstance(workspace, LocalWorkspace) or not plain:
            return info
        told = {"launch": self._owned.id, "directory": str(workspace.directory), "name": workspace.name}
        return {**info, "moorage": told}

    async def load_provisioner_info(self, provisioner_info: JsonObject) -> None:
        """Take over a kernel that an earlier process has started; it may have ended.

        The manager's session has the kernel's key.

        Raises:
            WardenLost: nothing is known of it any more.
        """
        told, self.ip = provisioner_info["moorage"], provisioner_info["ip"]
        self._kernelspec, self._ways = await self._kernel_type(), ("ipc",)
        asked = Asked(self._kernelspec, self._place, "ipc", self.rendezvous)
        directory, name = Path(told["directory"]), str(told["name"])
        block = _reopened(directory, name, self.parent.session.key, asked.kernel.called)
        requested = Requested.of(self.parent)
        workspace, agreement = await self._portal.step_in(block)
        addresses = Addresses(self._portal, requested, asked, block, workspace, agreement)
        try:
            await self._portal.reach(addresses.chosen())
            process = workspace.resume(ProcessId(told["launch"]))
            self._owned = await resume(self._portal, process, self._ended)
        except BaseException:
            await addresses.end(self.parent)
            raise
        self._addresses, self._started_before = addresses, True
        self.process = self._owned.popen
        self.pid = self.pgid = self.process.pid


@asynccontextmanager
async def _reopened(
    directory: Path, name: str, key: bytes, kernel: str
) -> AsyncIterator[tuple[LocalWorkspace, Agreement]]:
    """Own a kernel's workspace and rendezvous again."""
    async with Here().reopen(directory, name) as workspace:
        rendezvous = IpcRendezvous(directory, key, kernel, bound=True)
        try:
            yield workspace, Agreement(rendezvous, rendezvous.connection_file)
        finally:
            rendezvous.close()
