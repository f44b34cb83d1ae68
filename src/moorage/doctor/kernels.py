"""The kernel types found here: which rendezvous each gets, and whether it starts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from moorage.discovery.base import KernelType
from moorage.discovery.kernelspec import KernelSpec
from moorage.discovery.listing import Finder
from moorage.doctor.finding import Finding, refused
from moorage.errors import MoorageError
from moorage.kernel.kernel import not_forked
from moorage.kernel.launch import launch
from moorage.kinds import install_advice
from moorage.process.base import LocalSpec
from moorage.process.template.key import obstacle

_PATIENCE = 5.0
"""Seconds that slow providers get: more than in a list, which has to appear at once."""


@dataclass(frozen=True)
class KernelFinding:
    """One kernel type.

    Attributes:
        finding: how it stands; ``about`` is what the type is called.
        display_name: what its author calls it.
        rendezvous: how moorage agrees with it, or did; None where it cannot be launched.
        forked: whether it can be forked from a template; None where that was not tried.
        not_forked: why it cannot be; else empty.
    """

    finding: Finding
    display_name: str = ""
    rendezvous: str | None = None
    forked: bool | None = None
    not_forked: str = ""


async def kernels(*, start: bool, timeout: float) -> AsyncIterator[KernelFinding]:  # noqa: ASYNC109 - for each
    """Look at every kernel type of every provider.

    Args:
        start: launch each, one after the other.
        timeout: seconds that each may take to answer.

    Yields:
        Finding after finding, those on providers last. Cancelling ends what was launched.
    """
    listing = await Finder().list_types(_PATIENCE)
    types = [each for each in listing.types if each.attach is None]
    for kernel_type in types:
        if kernel_type.lack is None and start:
            yield await started(kernel_type, timeout)
        else:
            yield looked_at(kernel_type)
    if not types:
        says = "no kernel type is found here"
        yield KernelFinding(Finding("kernels", "fail", says, install_advice("python")))
    for remark in listing.remarks:
        says = f"the provider {remark.provider} {remark.text}"
        yield KernelFinding(Finding(remark.provider, "warn" if remark.broken else "ok", says))


def looked_at(kernel_type: KernelType) -> KernelFinding:
    """Return what is known of a kernel type without launching it."""
    spec, lack = kernel_type.spec, kernel_type.lack
    if lack is not None:
        return KernelFinding(Finding(spec.called, "warn", lack.why, lack.do), spec.display_name)
    return KernelFinding(Finding(spec.called, "ok", ""), spec.display_name, kernel_type.rendezvous())


async def started(kernel_type: KernelType, timeout: float) -> KernelFinding:  # noqa: ASYNC109 - for both steps
    """Launch a kernel type and end it; how long it took until it had answered.

    Args:
        kernel_type: launchable.
        timeout: seconds until it must have answered.
    """
    spec = kernel_type.spec
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with launch(spec, timeout=timeout, fork=False) as kernel:
            seconds = loop.time() - began
            implementation = kernel.info.get("implementation", "")
            version = kernel.info.get("implementation_version", "")
            way = kernel.rendezvous
        why = await _unforked(spec, timeout)
        forked = "forked" if not why else f"not forked: {why}"
        says = ", ".join(part for part in (f"{implementation} {version}".strip(), forked) if part)
        finding = Finding(spec.called, "ok", says, seconds=seconds)
        return KernelFinding(finding, spec.display_name, way, not why, why)
    except MoorageError as error:
        return KernelFinding(
            refused(spec.called, error), spec.display_name, looked_at(kernel_type).rendezvous
        )


async def _unforked(spec: KernelSpec, timeout: float) -> str:  # noqa: ASYNC109 - as above
    """Return why a kernel type is not forked, or an empty string; tried only where it might be."""
    if spec.place is not None:
        return f"it runs on {spec.place.name}"
    if why := obstacle(LocalSpec(tuple(spec.argv), "/", dict(os.environ))):
        return why
    async with launch(spec, timeout=timeout, fork=True) as kernel:
        return not_forked(kernel.process)
