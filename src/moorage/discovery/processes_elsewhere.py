"""The functions of :mod:`moorage.discovery.processes` on systems without /proc: files and sockets remain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def private_files() -> Iterator[Path]:
    """Yield nothing: moorage launches kernels on Linux."""
    return iter(())


def is_private(_path: Path) -> bool:
    """Return False, for the same reason."""
    return False


def named_files() -> dict[Path, int]:
    """Return nothing: command lines of processes are not looked at here."""
    return {}


def held(_pid: int) -> str:
    """Return nothing."""
    return ""


def listener(_transport: str, _ip: str, _port: int, _named: int | None) -> int | None:
    """Return None: the process that listens is not known here."""
    return None


def listener_alone(_transport: str, _ip: str, _port: int, _likely: int | None = None) -> int | None:
    """Return None, for the same reason."""
    return None


def is_kernel_of(_pid: int, _path: Path, _transport: str) -> bool:
    """Return False: what a process is is not known here."""
    return False


def is_another_users(_transport: str, _ip: str, _port: int, _path: Path, _pid: int | None) -> bool:
    """Return False, for the same reason."""
    return False


def files_of(_pid: int) -> list[Path]:
    """Return nothing: command lines of processes are not looked at here."""
    return []


def began(_pid: int) -> float | None:
    """Return None: when a process began is not known here."""
    return None


def memory(_pid: int) -> int | None:
    """Return None: what a process holds is not known here."""
    return None
