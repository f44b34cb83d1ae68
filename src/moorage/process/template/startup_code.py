"""What an interpreter runs as it starts, ``.pth`` files and customize modules, and whether a fork has run it.

A template runs that once, and its forks never: they are like a process started for itself only where that
left nothing behind that a fork has not, did nothing but to its own memory, and looked at nothing that another
launch may have otherwise. What it left behind a look at the template tells. What it did and looked at tells a
second interpreter, started as the template was but for the site module (``-S``), which runs the same start-up
code under watch (``startup_watch.py``); that takes place beside the template's imports.

Loaded by the template by its path, without the package: standard library only, from Python 3.9 on.
"""
# ruff: noqa: PTH100, PTH115, PTH116, PTH118, PTH119, PTH120, PTH208 - pathlib would be one more thing a fork shares with its template

from __future__ import annotations

import marshal
import os
import select
import signal
import sys

assert sys.platform == "linux", "templates need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATIENCE = 20.0
"""Seconds that start-up code may take under watch; a template that runs has had it behind it for long."""


def initial() -> dict[bytes, bytes]:
    """Return the environment that this process was started with, before its start-up code changed it."""
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - see above
        entries = [word.partition(b"=") for word in file.read().split(b"\0") if b"=" in word]
    return {name: value for name, _, value in reversed(entries)}  # the first of a name counts


def opened() -> dict[int, str]:
    """Return this process's descriptors, each with what it leads to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # by which this list was read
    return found


def of_libraries() -> set[int]:
    """Return the descriptors that stay open as long as their library is loaded: libffi's of its own file.

    With static trampolines (https://github.com/libffi/libffi/blob/master/src/tramp.c), which newer Debians
    have, it opens that file when ctypes is imported, and maps from the number when a callback is made.
    """
    return {number for number, where in opened().items() if os.path.basename(where).startswith("libffi")}


def left(own: int, code: str = "start-up code") -> str:
    """Return what start-up code has left in this process that no fork would have, or an empty string.

    Args:
        own: the one descriptor beyond 0, 1 and 2 that is known.
        code: what to call that code.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        return f"{code} has started a thread"
    known = {0, 1, 2, own, *of_libraries()}
    for number, where in opened().items():
        if number not in known and where != f"/proc/{os.getpid()}/fd":
            return f"{code} has opened {where}"
    if sys.gettrace() or sys.getprofile() or tools():
        return f"{code} traces what runs"
    timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    if any(any(signal.getitimer(each)) for each in timers):
        return f"{code} has set a timer"
    return ""


def tools() -> list[str]:
    """Return what monitors this interpreter; ``sys.monitoring`` is there from Python 3.12 on."""
    monitoring = getattr(sys, "monitoring", None)
    names = () if monitoring is None else map(monitoring.get_tool, range(6))
    return [name for name in names if name]


class Watched:
    """A second interpreter that runs the same start-up code under watch.

    Args:
        command: this process's command line, up to its script.
        env: what both were started with.
    """

    def __init__(self, command: list[bytes], env: dict[bytes, bytes]) -> None:
        self._hear, tell = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        script = os.fsencode(os.path.join(os.path.dirname(os.path.abspath(__file__)), "startup_watch.py"))
        actions = [(os.POSIX_SPAWN_DUP2, nothing, each) for each in range(3)]
        self._pid = os.posix_spawn(
            sys.executable,
            [command[0], *command[1:], b"-S", script],
            env,
            file_actions=[*actions, (os.POSIX_SPAWN_DUP2, tell, 3)],
        )
        os.close(nothing)
        os.close(tell)

    def told(self) -> dict[str, Any]:
        """Wait until it has ended, and return what it tells (``startup_watch.py``); else ``does`` alone."""
        said = b""
        poll = select.poll()
        poll.register(self._hear, select.POLLIN)
        while (ready := poll.poll(PATIENCE * 1000)) and (piece := os.read(self._hear, 65536)):
            said += piece
        os.close(self._hear)
        if not ready:
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        try:
            found: dict[str, Any] = marshal.loads(said)  # noqa: S302 - from a process of the same code
        except (ValueError, EOFError, TypeError):
            found = {"does": ["start-up code cannot be watched: it ends or holds up the interpreter"]}
        return found


def stamped(more: list[str]) -> list[str]:
    """Return the files and folders that decide what an interpreter is when it starts, be they there or not.

    Args:
        more: those that start-up code read.
    """
    site = sys.modules.get("site")
    user = getattr(site, "USER_SITE", None) if getattr(site, "ENABLE_USER_SITE", None) else None
    packages = [path for path in [*sys.path, user or ""] if os.path.basename(path).endswith("-packages")]
    found = [sys.executable, os.path.dirname(os.__file__), os.path.join(sys.prefix, "pyvenv.cfg"), *packages]
    for path in packages:
        try:
            names = sorted(os.listdir(path))
        except OSError:
            continue  # when it comes into being, it has another stamp
        found += [os.path.join(path, name) for name in names if name.endswith(".pth")]
    if site is not None:
        customize = [f"{which}customize{end}" for which in ("site", "user") for end in (".py", "")]
        found += [os.path.join(path, name) for path in [*sys.path, *packages] for name in customize]
    return list(dict.fromkeys([*found, *more]))


def stamps(paths: list[str]) -> list[tuple[int, ...]]:
    """Return what changes when one of them does."""
    found: list[tuple[int, ...]] = []
    for path in paths:
        try:
            told = os.stat(path)
            found.append((told.st_mtime_ns, told.st_size, told.st_ino))
        except (OSError, ValueError):
            found.append(())
    return found
