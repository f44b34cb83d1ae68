"""What a kernelspec of Jupyter's stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moorage.discovery.finder import resolve
from moorage.discovery.kernelspec import KernelSpec, activation_of
from moorage.errors import LaunchError


async def kernel_type(spec: Any, name: str) -> KernelSpec:
    """Return the kernel type that a kernelspec is, or stands for.

    Args:
        spec: a ``jupyter_client.kernelspec.KernelSpec``.
        name: that it is launched by.

    Raises:
        LaunchError: its metadata is none.
        UsageError: it stands for a kernel type that there is not.
    """
    ours = spec.metadata.get("moorage")
    if isinstance(ours, dict) and isinstance(named := ours.get("kernel_type"), str):
        return await resolve(named)
    try:
        activation = activation_of(spec.argv[0], spec.metadata) if spec.argv else None
    except TypeError as error:
        raise LaunchError(f"the kernel {name} cannot be launched", why=str(error)) from None
    return KernelSpec(
        name=name,
        argv=tuple(spec.argv),
        display_name=spec.display_name,
        language=spec.language,
        interrupt_mode=spec.interrupt_mode,
        metadata=spec.metadata,
        protocol_version=getattr(spec, "kernel_protocol_version", ""),
        activation=activation,
        resource_dir=Path(spec.resource_dir) if spec.resource_dir else None,
    )
