"""What a process behind walls sees of the file system: a system that it can read, and folders of its own.

Nothing is there that was not named: no home directories, no /run, no other visitor. What can be written lies
in one tmpfs, whose size is the visitor's share of the disk; it goes with the last process.

Loaded by keepers by its path, without the package: standard library only, from Python 3.9 on. Source:
proc(5), tmpfs(5), devpts in the kernel's documentation.
"""
# ruff: noqa: PTH106, PTH110, PTH114, PTH115, PTH118, PTH211 - pathlib is too large for a keeper

from __future__ import annotations

import os
import sys

assert sys.platform == "linux", "only Linux has mount namespaces"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process.netns.enter import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC, mount
    from moorage.process.walls.stage import RDONLY, Stage, attributes, tree, unmount
else:
    from netns.enter import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC, mount
    from walls.stage import RDONLY, Stage, attributes, tree, unmount

MS_PRIVATE = 1 << 18
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store")
"""What of the system can be read."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = (
    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
)  # fmt: skip
_PROCESSORS = ("/sys/devices/system/cpu", "/sys/devices/system/node")
_READ_ONLY = ("sys", "irq", "bus", "fs", "sysrq-trigger", "acpi", "scsi")
"""What of /proc the user 0 outside could write, whatever its capabilities."""
_FOR_ALL = 0o1777
WRITABLE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - folders of this view, no other process sees them
_EACH_FILE = 16384
"""Bytes of the share for which it may have one file."""


def build(walls: dict[str, Any], machine: str) -> None:
    """Make the view in the mount namespace that this process is in, and move there.

    Args:
        walls: ``private``: the visitor's directory, in whose place a folder of the share is seen; ``copied``:
            names of what is copied into that; ``readable``: paths beside :data:`SYSTEM`; ``hidden``: folders
            of which nothing else may be seen; ``files``: texts by the path of the file that they replace;
            ``disk``: bytes of the share; ``user``, ``group``: of what is written, None for those of this
            process.
        machine: as uname(2) names it.

    Raises:
        OSError: as the system says.
    """
    os.umask(0o022)
    mount("none", "/", MS_REC | MS_PRIVATE)
    private = walls["private"]
    content = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    system = [path for path in SYSTEM if os.path.lexists(path)]
    links = {path: os.readlink(path) for path in system if os.path.islink(path)}
    readable = [path for path in (*system, *_PROCESSORS, *walls["readable"]) if path not in links]
    sources = {path: tree(path) for path in {*readable} if os.path.exists(path)}
    devices = {name: tree(f"/dev/{name}") for name in _DEVICES}
    owner = (-1, -1) if walls["user"] is None else (walls["user"], walls["group"])
    stage = Stage(private, owner)
    share = _share(stage, walls["disk"])  # before what may lie below /tmp
    for path, leads_to in links.items():
        os.symlink(leads_to, stage.at(path))
    for path in sorted([*sources, *walls["hidden"]]):
        if path in walls["hidden"]:
            stage.hide(path)
        elif stage.seen(path):
            os.close(sources[path])
        else:
            stage.show(path, sources[path])
    for path, text in walls["files"].items():
        stage.put(path, text)
    stage.fill(content, stage.own(private, share, 0o700), walls["copied"])
    unmount(share)
    os.rmdir(share)
    _special(stage, devices)
    os.close(content)
    stage.enter(machine)


def _share(stage: Stage, size: int) -> str:
    """Mount the visitor's share, and show the folders that every process may write; return where it is."""
    share = stage.point("/.share", directory=True)
    files = max(1024, size // _EACH_FILE)
    mount("tmpfs", share, MS_NOSUID | MS_NODEV, "tmpfs", f"mode=0755,size={size},nr_inodes={files}")
    for path in WRITABLE:
        stage.own(path, share, _FOR_ALL)
    return share


def _special(stage: Stage, devices: dict[str, int]) -> None:
    """Show devices, terminals and the processes of this process namespace."""
    for name, source in devices.items():
        stage.show(f"/dev/{name}", source, device=True)
    for name, leads_to in _DEVICE_LINKS:
        os.symlink(leads_to, stage.at(f"/dev/{name}"))
    terminals = stage.point("/dev/pts", directory=True)
    mount("devpts", terminals, MS_NOSUID | MS_NOEXEC, "devpts", "newinstance,ptmxmode=0666,mode=0620")
    processes = stage.point("/proc", directory=True)
    mount("proc", processes, MS_NOSUID | MS_NODEV | MS_NOEXEC, "proc")
    for name in _READ_ONLY:
        point = os.path.join(processes, name)
        if os.path.lexists(point):
            mount(point, point, MS_BIND | MS_REC)
            attributes(point, RDONLY)
