"""The machine: what it offers to kernels and to moorage, limit by limit."""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

from moorage.doctor.finding import Finding, Level, refused
from moorage.errors import MoorageError
from moorage.installed import install_line
from moorage.notebooks.display import display
from moorage.notebooks.resources import PER_KERNEL
from moorage.plan.walls import planned
from moorage.process.base import LaunchSpec
from moorage.process.local import LocalLauncher, Warden
from moorage.process.machine import available_memory, usable_cores
from moorage.process.netns.probe import obstacle
from moorage.process.walls.probe import given
from moorage.regular import read_text

if sys.platform == "linux":
    from moorage.process import procfs
    from moorage.process.warden import private_directory

MANY = 32
"""Kernels at once that a limit must carry before it is worth a warning."""
_APART = 64  # descriptors of ours that are no kernel's
_RENDER = ("nbformat", "jupytext", "nbconvert", "jinja2", "ipykernel", "rich")
_MIB = 1 << 20


async def machine(*, start: bool) -> AsyncIterator[Finding]:
    """Look at the machine.

    Args:
        start: also start what is looked at: an X display.

    Yields:
        Finding after finding. Cancelling ends what was started.
    """
    yield await launching()
    yield await asyncio.to_thread(isolation)
    yield await asyncio.to_thread(walls)
    yield memory()
    yield cores()
    for look in (open_files, processes, ports, watches):
        if (finding := look()) is not None:
            yield finding
    yield await x_display(start=start)
    yield await asyncio.to_thread(make)
    yield rendering()
    yield plug(os.environ)


async def launching() -> Finding:
    """Start a warden and a process, and end both."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with Warden.open() as warden:
            directory = warden.directory
            spec = LaunchSpec((sys.executable, "-I", "-S", "-c", ""), "/", {"PATH": os.defpath})
            async with LocalLauncher(warden).launch(spec) as handle:
                status = await handle.wait()
    except MoorageError as error:
        return refused("launching", error)
    seconds = loop.time() - began
    if status.code != 0:
        return Finding(
            "launching", "fail", f"this Python, started anew, ended: {status.describe()}", seconds=seconds
        )
    says = f"processes start and end, private files lie in {directory.parent}"
    if passed_over := _passed_over(directory.parent):
        do = "Correct XDG_RUNTIME_DIR: a directory of this user's, mode 0700, and no link; or unset it"
        return Finding("launching", "warn", f"{says}; {passed_over}", do, seconds=seconds)
    return Finding("launching", "ok", says, seconds=seconds)


def _passed_over(chosen: Path) -> str:
    """Return which better places cannot hold private files, and why."""
    places: list[tuple[str, str]] = []
    if sys.platform == "linux":
        places = private_directory.places()
    better = itertools.takewhile(lambda place: Path(place[0]) != chosen, places)
    return "; ".join(f"not in {path}: {reason or 'it is full'}" for path, reason in better)


def isolation() -> Finding:
    """Try to make a network namespace."""
    error = obstacle()
    if error is not None:
        return refused("isolation", error, "warn")
    return Finding("isolation", "ok", "network namespaces can be made, --isolate net works")


def walls() -> Finding:
    """Try the walls that stand between visitors of ``moorage temp``."""
    planned_walls = planned(given(), wanted=True)
    if not planned_walls.missing:
        says = f"visitors of moorage temp are kept apart: {planned_walls.listed}"
        return Finding("walls", "ok", says)
    says = f"visitors of moorage temp are not kept apart here: {planned_walls.why}"
    return Finding("walls", "warn", says, planned_walls.do)


def memory() -> Finding:
    """Look at the memory that is left, and whether deaths for lack of it can be told from others."""
    left = available_memory()
    amount = "memory unknown" if left is None else f"{left // _MIB} MiB available"
    if left is not None and left < 512 * _MIB:
        return Finding("memory", "warn", amount, "Render with -j 1, or free memory")
    if sys.platform == "linux" and procfs.oom_file(os.getpid()) is not None:
        return Finding("memory", "ok", f"{amount}, and deaths for lack of it are told as such")
    if sys.platform != "linux":
        return Finding("memory", "ok", f"{amount}; deaths for lack of it cannot be told from others")
    says = f"{amount}; deaths for lack of it cannot be told from others: no oom_kill counter"
    return Finding("memory", "warn", says, "Mount the control groups (cgroup2) at /sys/fs/cgroup")


def cores() -> Finding:
    """Look at the cores that may be used."""
    usable, there = usable_cores(), os.cpu_count() or 1
    of = "" if usable >= there else f" of {there}"
    return Finding(
        "cores", "ok", f"{usable}{of} usable: so many notebooks run at once unless -j says otherwise"
    )


def open_files() -> Finding | None:
    """Look at the limit on open files."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not there on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = soft if hard < 0 else hard
    at_once = (most - _APART) // (2 * PER_KERNEL)
    if most < 0 or at_once >= 1000:
        return Finding("open files", "ok", "the limit carries a thousand kernels at once")
    says = f"the limit of {most} carries {max(at_once, 0)} kernels at once"
    if at_once >= MANY:
        return Finding("open files", "ok", says)
    wanted = _APART + 2 * PER_KERNEL * MANY
    return Finding("open files", "warn", says, f"Raise the limit: ulimit -n {wanted}")


def processes() -> Finding | None:
    """Look at the limit on processes and threads."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not there on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft < 0 or soft > 2000:
        return Finding("processes", "ok", "no limit that kernels would meet")
    says = f"this user may have {soft} processes and threads, and a Python kernel has about 12"
    return Finding("processes", "warn", says, "Raise the limit: ulimit -u 4096")


def ports() -> Finding | None:
    """Look at the range of ports that the system hands out."""
    found = _text("/proc/sys/net/ipv4/ip_local_port_range").split()
    if len(found) != 2:
        return None
    first, last = map(int, found)
    count = last - first + 1
    says = f"{count} are handed out ({first} to {last}); only kernels that are held or register take any"
    if count >= 10 * MANY:
        return Finding("ports", "ok", says)
    return Finding("ports", "warn", says, "As root, type `sysctl net.ipv4.ip_local_port_range='32768 60999'`")


def watches() -> Finding | None:
    """See whether one more file watch can be had."""
    if sys.platform != "linux":
        return None
    most = _text("/proc/sys/fs/inotify/max_user_instances").strip() or "unknown"
    descriptor = ctypes.CDLL(None).inotify_init1(os.O_CLOEXEC)
    if descriptor >= 0:
        os.close(descriptor)
        return Finding("file watches", "ok", f"there are some left (most for this user: {most})")
    says = f"none is left (most for this user: {most}): files are looked at every 10 ms instead"
    return Finding("file watches", "warn", says, "As root, type `sysctl fs.inotify.max_user_instances=1024`")


async def x_display(*, start: bool) -> Finding:
    """Look for Xvfb, and perhaps start it."""
    if shutil.which("Xvfb") is None:
        says = "Xvfb is not here, so --display does not work"
        return Finding("display", "warn", says, "If notebooks draw in windows, type: apt-get install xvfb")
    if not start:
        return Finding("display", "ok", "Xvfb is here, --display can use it")
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with Warden.open() as warden, display(warden) as variables:
            seconds = loop.time() - began
            return Finding("display", "ok", f"Xvfb came up as {variables['DISPLAY']}", seconds=seconds)
    except MoorageError as error:
        return refused("display", error, "warn")


def make() -> Finding:
    """Look for GNU make, whose job server ``moorage render`` takes part in."""
    program = shutil.which("gmake") or shutil.which("make")
    written = ""
    if program is not None:
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                [program, "--version"], capture_output=True, text=True, timeout=20, check=False
            )
            written = done.stdout
    version = re.match(r"GNU Make (\d+)\.(\d+)", written)
    if version is None:
        return Finding("make", "ok", "GNU make is not here, and nothing needs it")
    if (int(version[1]), int(version[2])) >= (4, 4):
        return Finding("make", "ok", f"{version[0]}: its job server reaches every recipe")
    return Finding(
        "make", "ok", f"{version[0]}: mark recipes that run moorage with + to share its job server"
    )


def rendering() -> Finding:
    """See whether what ``moorage render`` imports is installed."""
    missing = [name for name in _RENDER if importlib.util.find_spec(name) is None]
    if not missing:
        return Finding("render", "ok", "all that moorage render imports is installed")
    says = f"moorage render does not work: {', '.join(missing)} not installed"
    return Finding("render", "warn", says, f"Type: {install_line('render')}")


def plug(environ: Mapping[str, str]) -> Finding:
    """See whether Jupyter's own tools would launch through moorage."""
    wanted = environ.get("JUPYTER_DEFAULT_PROVISIONER_NAME") == "moorage"
    if importlib.util.find_spec("jupyter_client") is None:
        return Finding("Jupyter", "ok", "no other Jupyter tool is installed in this environment")
    known = any(each.name == "moorage" for each in entry_points(group="jupyter_client.kernel_provisioners"))
    if not known:
        level: Level = "fail" if wanted else "warn"
        says = "jupyter_client finds no provisioner called moorage"
        return Finding("Jupyter", level, says, "Install moorage anew in this environment")
    if wanted:
        return Finding("Jupyter", "ok", "its tools launch through moorage (JUPYTER_DEFAULT_PROVISIONER_NAME)")
    says = "its tools launch their own way; with JUPYTER_DEFAULT_PROVISIONER_NAME=moorage through moorage"
    return Finding("Jupyter", "ok", says)


def _text(path: str) -> str:
    try:
        return read_text(path)
    except OSError:
        return ""
