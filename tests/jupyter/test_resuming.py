"""A provisioner of kernels that are taken over: which of them can be, and what is told of those."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import AsyncKernelManager
from traitlets.config import Config

from moorage.errors import WardenLost
from moorage.jupyter.resuming import KeptProvisioner

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="kernels are taken over on Linux"),
]


async def told(way: str, tmp_path: Path) -> tuple[dict[str, Any], bool]:
    """Start a kernel by a rendezvous; return what is told of it, and whether its directory is there."""
    config = Config({"MoorageProvisioner": {"rendezvous": way}})
    manager = AsyncKernelManager(connection_file=str(tmp_path / "k.json"), config=config)
    manager.kernel_id = "k"
    manager.provisioner = KeptProvisioner(kernel_id="k", kernel_spec=manager.kernel_spec, parent=manager)
    await manager.start_kernel()
    try:
        info = await manager.provisioner.get_provisioner_info()
        return info, Path(info.get("moorage", {}).get("directory", "/nowhere")).is_dir()
    finally:
        await manager.shutdown_kernel(now=True)


def test_a_kernel_with_sockets_can_be_taken_over(tmp_path: Path) -> None:
    info, there = asyncio.run(told("ipc", tmp_path))
    assert info["kernel_id"] == "k"
    assert info["moorage"]["name"].startswith("kernel-")
    assert there


def test_one_with_ports_cannot(tmp_path: Path) -> None:
    info, _ = asyncio.run(told("hold", tmp_path))
    assert "moorage" not in info


def test_what_no_warden_knows_is_told(tmp_path: Path) -> None:
    info, _ = asyncio.run(told("ipc", tmp_path))

    async def taken() -> None:
        manager = AsyncKernelManager()
        provisioner = KeptProvisioner(kernel_id="k", kernel_spec=manager.kernel_spec, parent=manager)
        Path(info["moorage"]["directory"]).mkdir(parents=True)
        await provisioner.load_provisioner_info(info)

    with pytest.raises(WardenLost, match="nothing is left"):
        asyncio.run(taken())
    assert not Path(info["moorage"]["directory"]).exists()
