"""The provider ``spec``: kernelspecs on Jupyter's search path, and this interpreter itself."""

from __future__ import annotations

import sys

from moorage.discovery import kernelspec
from moorage.discovery.base import Around, KernelType, Lack, Provider, from_blocking
from moorage.discovery.kernelspec import NATIVE, KernelSpec
from moorage.errors import KernelTypeNotFound


def look(around: Around) -> list[KernelType]:
    """Return all kernel types of this provider, most important first; a broken one with what is wrong."""
    found: dict[str, KernelType] = {}
    for name, folder in kernelspec.folders(around.environ):
        if name in found:
            continue
        try:
            found[name] = KernelType(kernelspec.read(name, folder), where=str(folder))
        except KernelTypeNotFound as error:
            broken = KernelSpec(name, (), name, "", resource_dir=folder)
            found[name] = KernelType(broken, where=str(folder), lack=Lack(error.why, error.do))
    for name, folder, why, do in kernelspec.misnamed(around.environ):
        shown = KernelSpec(name, (), name, "", resource_dir=folder)
        found.setdefault(name, KernelType(shown, where=str(folder), lack=Lack(why, do)))
    if NATIVE not in found and (spec := kernelspec.native()) is not None:
        found[NATIVE] = KernelType(spec, where=sys.prefix)
    return list(found.values())


def provider() -> Provider:
    """Return this provider, as the entry point asks for it."""
    return from_blocking("spec", look)
