"""Kernelspecs of kernels that register: ipykernel's, and the adapter's for any other kernel type.

Source: "Kernel specs", https://jupyter-client.readthedocs.io/en/stable/kernels.html
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from moorage.discovery.kernelspec import KernelSpec, user_data_directory
from moorage.errors import MissingExtra, OutputError, UsageError
from moorage.jupyter.placing import adapted
from moorage.kinds import IPYKERNEL_METADATA, install_advice
from moorage.regular import read_regular

PROTOCOL = "5.6"
"""Where the documentation puts registration. Not 5.6.0: kallichore reads two numbers, no more."""

_NAME = re.compile(r"[a-z0-9._-]+", re.IGNORECASE)


def kernels_directory(*, user: bool = False, sys_prefix: bool = False, prefix: Path | None = None) -> Path:
    """Return where kernelspecs are to go.

    Args:
        user: among the user's own.
        sys_prefix: into this interpreter's environment.
        prefix: into another one.

    Without any of them it is the virtual environment, where this is one, else the user's.
    """
    if prefix is not None:
        return prefix / "share" / "jupyter" / "kernels"
    if sys_prefix or (not user and sys.prefix != sys.base_prefix):
        return Path(sys.prefix) / "share" / "jupyter" / "kernels"
    return user_data_directory(os.environ) / "kernels"


@dataclass(frozen=True)
class NewKernelspec:
    """A kernelspec to be written.

    Attributes:
        name: its name, unless the user gives another.
        content: its kernel.json.
        resources: a folder whose logos it gets.
    """

    name: str
    content: Mapping[str, object]
    resources: Path | None = None


def kernelspec_of_ipykernel(display_name: str = "") -> NewKernelspec:
    """Return the kernelspec of this interpreter's ipykernel, as one that registers.

    Raises:
        MissingExtra: there is no ipykernel.
    """
    if importlib.util.find_spec("ipykernel") is None:
        raise MissingExtra("ipykernel is not installed here", do=install_advice("python"))
    content = {
        "argv": [sys.executable, "-m", "moorage.jupyter.ipykernel", "-f", "{connection_file}"],
        "display_name": display_name or "Python 3 (moorage)",
        "language": "python",
        "metadata": {**IPYKERNEL_METADATA, "handshake": True},
        "kernel_protocol_version": PROTOCOL,
    }
    return NewKernelspec("moorage-python3", content)


def kernelspec_of_adapter(spec: KernelSpec, display_name: str = "") -> NewKernelspec:
    """Return the kernelspec of an adapter that registers on behalf of a kernel type.

    Raises:
        UsageError: it is an adapter itself, or no launcher would find its kernels.
    """
    if "moorage.jupyter.adapter" in spec.argv:
        raise UsageError(f"{spec.name} is an adapter itself", do="Name the kernel type it stands for")
    adapted(spec)
    # The adapted kernelspec names its own provisioner; how it is signalled and shown is the kernel's.
    metadata = {name: value for name, value in spec.metadata.items() if name != "kernel_provisioner"}
    command = [sys.executable, "-m", "moorage.jupyter.adapter", "--type", spec.kernel_type]
    content = {
        "argv": [*command, "-f", "{connection_file}"],
        "display_name": display_name or f"{spec.display_name} (moorage)",
        "language": spec.language,
        "interrupt_mode": spec.interrupt_mode,
        "metadata": {**metadata, "handshake": True},
        "kernel_protocol_version": PROTOCOL,
    }
    # moorage-python3 is the name of the kernelspec that registers without an adapter.
    called = "adapted-python3" if spec.name == "python3" else spec.name.strip("./").replace("/", "-")
    return NewKernelspec(f"moorage-{called or 'kernel'}", content, spec.resource_dir)


def install(directory: Path, name: str, content: Mapping[str, object], resources: Path | None = None) -> Path:
    """Write a kernelspec, whole or not at all; one of that name for the same kernel is replaced.

    Args:
        directory: a ``kernels`` directory; it need not exist.
        name: of the kernelspec.
        content: its kernel.json.
        resources: a folder whose logos are copied.

    Returns:
        The kernelspec's folder.

    Raises:
        UsageError: the name is none that Jupyter takes, or another kernel's.
        OutputError: the folder cannot be written.
    """
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise UsageError(f"{name!r} is no name for a kernelspec", do="Use letters, digits, dots, - and _")
    folder = directory / name
    if folder.exists() and _arguments(_there(folder)) != _arguments(content):
        raise UsageError(
            f"there is a kernelspec {name} already, of another kernel",
            why=str(folder),
            do="Choose another name with --name, or delete that one",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=directory) as made:
            new = Path(made) / name
            new.mkdir()
            for logo in [] if resources is None else sorted(resources.glob("logo-*")):
                shutil.copyfile(logo, new / logo.name)
            (new / "kernel.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
            if folder.exists():
                folder.rename(Path(made) / "old")
            new.rename(folder)
    except OSError as error:
        raise OutputError(
            f"the kernelspec {name} cannot be written",
            why=str(error),
            do="Choose another place with --user, --sys-prefix or --prefix",
        ) from error
    return folder


def _there(folder: Path) -> Mapping[str, object]:
    """Return the kernel.json of a kernelspec that is there; an empty one where it makes no sense."""
    try:
        content = json.loads(read_regular(folder / "kernel.json"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _arguments(content: Mapping[str, object]) -> Sequence[object]:
    """Return a command without its interpreter: the same kernel in another environment counts as itself."""
    argv = content.get("argv")
    return argv[1:] if isinstance(argv, list) else []
