"""Kernels of documents: their identity for the cache, their name in the metadata.

Which kernel a document gets is decided in :mod:`moorage.discovery.choice`.
"""

from __future__ import annotations

import hashlib
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from moorage.discovery.finder import find
from moorage.discovery.kernelspec import NATIVE, KernelSpec, names, starts_ipykernel
from moorage.discovery.places import project_environments
from moorage.errors import MoorageError


@lru_cache(maxsize=256)
def identity(kernel_type: str) -> str:
    """Return a digest of a kernel type's command and program of today; empty if it is not here."""
    try:
        spec = find(kernel_type)
    except MoorageError:
        return ""
    program = shutil.which(spec.command(Path("x"))[0]) or spec.argv[0]
    inside = () if spec.activation is None else (str(spec.activation.prefix),)
    parts = (program, spec.argv, sorted(spec.env.items()), spec.interrupt_mode, spec.language, *inside)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@lru_cache(maxsize=1)
def kernel_names() -> tuple[str, ...]:
    """Return the names of all kernel types a document may get without being asked for, sorted."""
    return (*sorted(names()), *project_environments(Path.cwd()))


def lasting_name(spec: KernelSpec) -> str:
    """Return a name that means this kernel type from wherever one looks: environments go by their path."""
    if spec.activation is None:
        return spec.called
    prefix = str(spec.activation.prefix)
    kernel = "" if starts_ipykernel(spec) else f"/{spec.name.rpartition('/')[2]}"
    return f"{spec.provider}/{prefix}{kernel}"


def name_kernel(metadata: dict[str, Any], spec: KernelSpec) -> None:
    """Name the kernel in a notebook's metadata unless another is named there.

    As jupytext does it: a kernelspec makes ``jupytext.main_language`` superfluous. A kernel of an
    environment goes by the name that its kernelspec has inside, as editors write it: ``env/.venv`` would mean
    nothing to other programs and on other machines.
    """
    if "kernelspec" in metadata:
        return
    metadata["kernelspec"] = {
        "display_name": spec.display_name,
        "language": spec.language,
        "name": _inner_name(spec),
    }
    if isinstance(jupytext := metadata.get("jupytext"), dict):
        jupytext.pop("main_language", None)
        if not jupytext:
            del metadata["jupytext"]


def _inner_name(spec: KernelSpec) -> str:
    if spec.activation is None:
        return spec.called
    return NATIVE if starts_ipykernel(spec) else spec.name.rpartition("/")[2]
