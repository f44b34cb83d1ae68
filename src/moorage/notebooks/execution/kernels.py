"""Kernels of documents: their identity for the cache, their name in the metadata.

Which kernel a document gets is decided in :mod:`moorage.discovery.choice`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from moorage.discovery.environment_folders import project_environments
from moorage.discovery.finder import find
from moorage.discovery.kernelspec import NATIVE, KernelSpec, names, starts_ipykernel
from moorage.errors import MoorageError
from moorage.json_types import JsonObject
from moorage.regular import digest_regular

_ABSOLUTE = re.compile(r"/[^\0'\",;\[\]=]+")
_LARGE = 1 << 20


@lru_cache(maxsize=256)
def identity(kernel_type: str) -> str:
    """Return a digest of what a kernel type is today; empty if it is not here.

    That is its command and its variables, and what is in the files that these name: a script around an
    interpreter, a kernel's own script, configuration, what its environment sets.
    """
    try:
        spec = find(kernel_type)
    except MoorageError:
        return ""
    command = spec.command(Path("x"))
    program = shutil.which(command[0]) or spec.argv[0]
    variables = sorted(spec.expanded(os.environ).items())
    files, inside = [Path(program)], ""
    if spec.activation is not None:
        files += spec.activation.files()
        inside = str(spec.activation.prefix)
    states = [*((str(path), _content(path)) for path in files), *named_contents(command[1:])]
    parts = (program, spec.argv, variables, states, spec.interrupt_mode, spec.language, inside)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def named_contents(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return the files that words of a command name by absolute paths, with a digest of what each holds.

    Args:
        words: arguments; a flag's value counts, and so does a list in it.
    """
    named = dict.fromkeys(path for word in words for path in _ABSOLUTE.findall(word))
    return [(name, _content(Path(name))) for name in named if os.path.isfile(name)]  # noqa: PTH113 - any text


def _content(path: Path) -> str:
    """Return a digest of a small file; of a large one, which is a program, its size and time."""
    try:
        status = path.stat()
        if status.st_size > _LARGE:
            return f"{status.st_size} {status.st_mtime_ns}"
        return digest_regular(path)
    except OSError:
        return ""


@lru_cache(maxsize=1)
def kernel_names() -> tuple[str, ...]:
    """Return the names of all kernel types a document may get without being asked for, sorted."""
    return (*sorted(names()), *project_environments(Path.cwd()))


def forget_kernels() -> None:
    """Look anew at kernel types: a run knows each as it was when the run first met it."""
    identity.cache_clear()
    kernel_names.cache_clear()


def lasting_name(spec: KernelSpec) -> str:
    """Return a name that means this kernel type from wherever one looks: environments go by their path."""
    if spec.activation is None:
        return spec.called
    prefix = str(spec.activation.prefix)
    kernel = "" if starts_ipykernel(spec) else f"/{spec.name.rpartition('/')[2]}"
    return f"{spec.provider}/{prefix}{kernel}"


def name_kernel(metadata: JsonObject, spec: KernelSpec) -> None:
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
