"""A kernel manager for a Jupyter server that may be ended while its kernels live on: the next one finds them.

The kernels belong to the warden beside the server's keeper. Each is written down in a folder as it starts,
and a server that begins takes over what lives. Configured by::

    c.ServerApp.kernel_manager_class = "moorage.jupyter.kernels.KeptKernels"
    c.KeptKernels.warden = "/the/keeper's/directory/warden"
    c.KeptKernels.records = "/a/private/folder"
    c.SessionManager.database_filepath = "/a/private/folder/sessions"
"""

from __future__ import annotations

import asyncio
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from traitlets import Unicode, default

from moorage.errors import MoorageError
from moorage.json_types import JsonObject
from moorage.jupyter.provisioner import MoorageProvisioner
from moorage.jupyter.resuming import KeptProvisioner
from moorage.kernel.portal import portal
from moorage.process.local import shared_warden
from moorage.process.warden.joined import JoinedWarden, join_at

PATIENCE = 10.0
"""Seconds that the warden has to tell what it keeps."""


class KeptKernel(ServerKernelManager):
    """The manager of one kernel, which writes down how another server finds that kernel."""

    parent: Any  # a KeptKernels

    async def _async_pre_start_kernel(self, **kwargs: Any) -> tuple[list[str], dict[str, Any]]:
        self.kernel_id = self.kernel_id or str(kwargs.pop("kernel_id"))
        self.provisioner = self.provisioner or self._provisioner()
        return await super()._async_pre_start_kernel(**kwargs)

    def _provisioner(self) -> KernelProvisionerBase:
        """Return the kernel's provisioner: the one that is configured, or what can more where it is ours."""
        factory = KernelProvisionerFactory.instance(parent=self.parent)
        made = factory.create_provisioner_instance(self.kernel_id, self.kernel_spec, parent=self)
        if not isinstance(made, MoorageProvisioner):
            return made
        return KeptProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)

    async def _async_post_start_kernel(self, **kwargs: Any) -> None:
        await super()._async_post_start_kernel(**kwargs)
        assert self.provisioner is not None
        info = await self.provisioner.get_provisioner_info()
        if "moorage" in info:
            info.pop("connection_info", None)
            launch = {name: kwargs[name] for name in ("cwd", "env") if name in kwargs}
            self._write(
                {"kernel": self.kernel_name, "file": self.connection_file, "info": info, "launch": launch}
            )

    async def _async_cleanup_resources(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's
        if not restart:
            self.record.unlink(missing_ok=True)
        await super()._async_cleanup_resources(restart=restart)

    @property
    def record(self) -> Path:
        """File (0600) that says how the kernel is found."""
        return Path(self.parent.records) / f"{self.kernel_id}.json"

    def _write(self, said: JsonObject) -> None:
        new = self.record.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(said, file)
        new.replace(self.record)

    def resume(self, said: JsonObject) -> None:
        """Take over the kernel that a record tells of.

        Args:
            said: what the record says.

        Raises:
            MoorageError: nothing is left of it.
            OSError, ValueError, KeyError: its files are gone, or are none.
        """
        self.kernel_id = str(said["info"]["kernel_id"])
        provisioner = self._provisioner()
        key = json.loads(Path(self.connection_file).read_bytes())["key"]
        self.session.key = key.encode()
        loop = asyncio.new_event_loop()  # the server's does not run yet
        try:
            loop.run_until_complete(provisioner.load_provisioner_info(said["info"]))
        finally:
            loop.close()
        self.load_connection_file()
        self.provisioner = provisioner
        self._launch_args = dict(said["launch"])
        self._attempted_start = True
        self.ready.set_result(None)


class KeptKernels(AsyncMappingKernelManager):
    """The kernels of a server; those of the server before it are among them."""

    warden = Unicode("", config=True, help="Path of the socket of the warden beside the server's keeper.")
    records = Unicode("", config=True, help="Private folder in which is written down how kernels are found.")

    @default("kernel_manager_class")
    def _default_kernel_manager_class(self) -> str:
        return "moorage.jupyter.kernels.KeptKernel"

    def __init__(self, **kwargs: Any) -> None:
        begin: Any = super().__init__  # jupyter_server has no types
        begin(**kwargs)
        join_at(Path(self.warden))
        folder = Path(self.records)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        records = sorted(folder.glob("*.json"))
        if not records:
            return
        portal().run(_joined())
        for record in records:
            try:
                self._resume(json.loads(record.read_bytes()))
            except (MoorageError, OSError, ValueError, KeyError, TypeError) as error:
                self.log.warning("kernel %s could not be taken over: %s", record.stem, error)
                record.unlink(missing_ok=True)
        portal().run(_cleared())

    def _resume(self, said: JsonObject) -> None:
        """Take over one kernel, and watch it."""
        kernel = self.kernel_manager_factory(
            connection_file=str(said["file"]),
            parent=self,
            log=self.log,
            kernel_name=str(said["kernel"]),
            **({"kernel_spec_manager": specs} if (specs := self.kernel_spec_manager) else {}),
        )
        kernel.resume(said)
        name = kernel.kernel_id
        kernel.execution_state, kernel.last_activity = "idle", utcnow()
        self._kernels[name], self._kernel_connections[name] = kernel, 0
        self._kernel_ports[name] = kernel.ports
        watch: Any = self.start_watching_activity
        watch(name)
        kernel.start_restarter()
        dead = partial(self._handle_kernel_died, name)
        self.add_restart_callback(name, dead, "dead")
        self.log.info("Kernel taken over: %s", name)


async def _joined() -> None:
    """Have heard what the warden knows."""
    async with shared_warden() as warden:
        await warden.link.answers(PATIENCE)


async def _cleared() -> None:
    """End what no server knows any more."""
    async with shared_warden() as warden:
        if isinstance(warden, JoinedWarden):
            warden.end_others()
