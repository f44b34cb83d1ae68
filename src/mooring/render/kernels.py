"""Which kernel a document gets.

1. The one the user insists on (``--kernel``, or ``kernel`` in the configuration); it must be here.
2. The one the document names, if it is here.
3. The nearest by language, said aloud; for Python that is the interpreter mooring runs in.
4. None named, and a language known: the nearest by language, without a word.
"""

from __future__ import annotations

import hashlib
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from mooring.discovery.kernelspec import KernelSpec, find, find_by_language, names
from mooring.errors import KernelTypeNotFound


def choose_kernel(named: str | None, language: str | None, wanted: str | None) -> tuple[KernelSpec, str]:
    """Apply the rule above.

    Args:
        named: the kernel type the document names, or None.
        language: the document's language, or None for Python.
        wanted: the kernel type the user insists on, or None.

    Returns:
        The kernel type, and what the user should hear about the choice (empty: nothing).

    Raises:
        KernelTypeNotFound: nothing here fits.
    """
    if wanted is not None:
        return find(wanted), ""
    missing: KernelTypeNotFound | None = None
    if named is not None:
        try:
            return find(named), ""
        except KernelTypeNotFound as error:
            missing = error
    spec = find_by_language(language or "python")
    if spec is None:
        if missing is not None:
            raise missing
        raise KernelTypeNotFound(
            f"no kernel for {language or 'python'} is here",
            do="Type: pip install ipykernel" if not language or language == "python" else "Install one",
        )
    if missing is None:
        return spec, ""
    return spec, f"it names the kernel {named}, which is not here; {spec.name} ({spec.display_name}) runs it"


@lru_cache(maxsize=256)
def identity(kernel_type: str) -> str:
    """Return a digest of a kernel type's command and program of today; empty if it is not here."""
    try:
        spec = find(kernel_type)
    except KernelTypeNotFound:
        return ""
    program = shutil.which(spec.command(Path("x"))[0]) or spec.argv[0]
    parts = (program, spec.argv, sorted(spec.env.items()), spec.interrupt_mode, spec.language)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@lru_cache(maxsize=1)
def kernel_names() -> tuple[str, ...]:
    """Return the names of all kernel types here, sorted."""
    return tuple(sorted(names()))


def name_kernel(metadata: dict[str, Any], spec: KernelSpec) -> None:
    """Name the kernel in a notebook's metadata unless another is named there.

    As jupytext does it: a kernelspec makes ``jupytext.main_language`` superfluous.
    """
    if "kernelspec" in metadata:
        return
    metadata["kernelspec"] = {
        "display_name": spec.display_name,
        "language": spec.language,
        "name": spec.name,
    }
    if isinstance(jupytext := metadata.get("jupytext"), dict):
        jupytext.pop("main_language", None)
        if not jupytext:
            del metadata["jupytext"]
