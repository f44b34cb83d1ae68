"""The ``repr`` of a kernel: its type, what it does now, its process and how it is reached."""

from __future__ import annotations

from signal import Signals

from moorage.plan.lifecycle import Exited, Running, Status


def shown(kind: str, called: str, status: Status, rendezvous: str = "") -> str:
    """Return a kernel in one line, such as ``<Kernel python3 running, pid 4711, ipc>``.

    Args:
        kind: name of the class.
        called: name of the kernel type.
        status: of the kernel now.
        rendezvous: how launcher and kernel agreed on addresses; empty where that is not known.
    """
    pid = getattr(status, "pid", 0)
    parts = [f"{called} {described(status)}", f"pid {pid}" if pid else "", rendezvous]
    return f"<{kind} {', '.join(part for part in parts if part)}>"


def described(status: Status) -> str:
    """Return a status in words, such as ``running`` or ``ended with exit code 3``."""
    if isinstance(status, Running) and status.stopped:
        return status.stopped
    if not isinstance(status, Exited):
        return type(status).__name__.lower()
    if status.cause == "code" and status.code is not None:
        return f"ended with exit code {status.code}"
    if status.cause == "signal" and status.signal is not None:
        names = {int(each): each.name for each in Signals}
        return f"ended by {names.get(status.signal, f'signal {status.signal}')}"
    return "ended" if status.cause in {"code", "signal"} else f"ended: {status.cause}"
