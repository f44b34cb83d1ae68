"""What is added to the command of a kernel that is spawned, not forked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from moorage.command import python_module
from moorage.kinds import kind_of
from moorage.process.base import LocalSpec

_CONFIGURATION = Path(__file__).with_name("spawned.py")
_FILE = ("--f=", "--IPKernelApp.connection_file=")
_OWN = ("--config", "--BaseIPythonApplication.extra_config_file", "--IPKernelApp.extra_config_file")


def unbounded(spec: LocalSpec) -> LocalSpec:
    """Let a spawned ipykernel drop no output for a client that is slow.

    Args:
        spec: the process to start, whichever it is.

    Returns:
        The same with one argument more where it is such a kernel, and its command names no configuration
        file of its own: an application takes one only.
    """
    if not starts_application(spec.argv) or any(word.split("=")[0] in _OWN for word in spec.argv):
        return spec
    return replace(spec, argv=(*spec.argv, f"--config={_CONFIGURATION}"))


def starts_application(argv: Sequence[str]) -> bool:
    """Tell whether a command is a Python's ``-m MODULE ... -f FILE`` with such a module."""
    found = python_module(argv)
    if found is None or not kind_of(argv).application:
        return False
    return any(word == "-f" or word.startswith(_FILE) for word in found[1])
