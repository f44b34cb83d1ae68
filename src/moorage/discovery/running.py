"""Kernels that run already, found by their connection files: for ``ps``, ``stop`` and attaching.

Files are looked for where Jupyter and moorage put them, and on the command lines of this user's processes.
A file does not show whether its kernel lives: the sockets do, and /proc shows whose they are.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from moorage.directory import working_directory
from moorage.discovery.base import Around, KernelType, Lack, Provider, from_blocking
from moorage.discovery.kernelspec import KernelSpec, user_data_directory
from moorage.errors import KernelTypeNotFound, ProtocolError
from moorage.regular import read_regular
from moorage.wire.connection import ConnectionInfo, is_complete

if sys.platform == "linux":
    from moorage.discovery import processes
else:
    from moorage.discovery import processes_elsewhere as processes

NAME = "running"

# Bytes of a connection file, which has half a kilobyte; a longer file is something else.
_LARGEST = 64 * 1024
# Seconds a listening kernel may take for its ZMTP greeting, which libzmq's own thread sends however busy the
# kernel is.
_GREETING_SECONDS = 0.25
# The signature every ZMTP peer begins with, https://rfc.zeromq.org/spec/23/
_ZMTP = b"\xff"


@dataclass(frozen=True)
class RunningKernel:
    """A connection file and what is known of its kernel.

    Attributes:
        id: its name here: its file's without ``kernel-`` and ``.json``, for kernels of moorage
            the name of their private directory.
        connection_file: absolute.
        kernel_name: from the file or the command line; empty where neither has it.
        info: its addresses; the key is in it.
        alive: whether something that speaks ZMTP listens at its heartbeat, or a process that is stopped.
        pid: of its process; None where that cannot be known, or it has ended.
        age: seconds since its process began, else since its file was written.
        memory: resident bytes of it and its descendants; None where the pid is not known.
        owner: ``moorage``, ``jupyter`` or ``other``: whose place the file lies in.
        stopped: what holds its process still, in words; empty where nothing does, as far as that is known.
        foreign: whether what listens there belongs to another user, as where that user has taken the port
            of a kernel that ended, or forwards it.
    """

    id: str
    connection_file: Path
    kernel_name: str
    info: ConnectionInfo
    alive: bool
    pid: int | None
    age: float
    memory: int | None
    owner: str
    stopped: str = ""
    foreign: bool = False


def running(around: Around | None = None) -> list[RunningKernel]:
    """Return all kernels of this user on this machine whose connection file can be found.

    Those whose kernel has ended are among them, with ``alive`` False; oldest first.

    Args:
        around: its environment variables name the folders of Jupyter's files; by default this process's.
    """
    around = around or Around(working_directory())
    commands = processes.named_files()
    files = _each_once([*_files(around), *commands])
    found = [one for path in files if (one := _look(path, commands.get(path))) is not None]
    return sorted(_told_apart(_each_kernel_once(found)), key=lambda one: -one.age)


def find(wanted: str | Path, around: Around | None = None) -> RunningKernel:
    """Return one running kernel.

    Args:
        wanted: its id or the beginning of it that no other has, ``running/ID``, its pid, or the path of its
            connection file.
        around: see :func:`running`.

    Raises:
        KernelTypeNotFound: there is none, or there are several; or the file is no connection file.
    """
    text = str(wanted).removeprefix(f"{NAME}/")
    if isinstance(wanted, Path) or "/" in text or text.endswith(".json"):
        return _by_file(Path(text))
    known = running(around)
    for fits in (
        [one for one in known if one.id == text],
        [one for one in known if text and str(one.pid) == text],
        [one for one in known if text and one.id.startswith(text)],
        # What it was called before another of that name came.
        [one for one in known if text and _id(one.connection_file).startswith(text)],
    ):
        living = [one for one in fits if one.alive] or fits
        if len(living) == 1:
            return living[0]
        if living:
            names = ", ".join(one.id for one in living[:5])
            raise KernelTypeNotFound(f"several kernels begin with {text}", do=f"Say more: {names}")
    do = f"Here are: {', '.join(one.id for one in known if one.alive)}" if any(o.alive for o in known) else ""
    raise KernelTypeNotFound(
        f"no running kernel is called {text}", why="" if do else "No kernel of yours runs here", do=do
    )


def look(around: Around) -> list[KernelType]:
    """Return the living kernels as kernel types that can be attached to."""
    return [
        KernelType(
            KernelSpec(one.id, (), f"{one.kernel_name or 'kernel'} ({one.id[:8]})", "", provider=NAME),
            where=str(one.connection_file),
            lack=Lack("it runs already", f'Attach to it: moorage.attach("{one.connection_file}")'),
            attach=one.connection_file,
        )
        for one in running(around)
        if one.alive
    ]


def provider() -> Provider:
    """Return this provider, as the entry point asks for it."""
    return from_blocking(NAME, look)


def runtime_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where Jupyter puts connection files. Source: ``jupyter_runtime_dir`` in jupyter_core."""
    if directory := environ.get("JUPYTER_RUNTIME_DIR"):
        return Path(directory)
    return user_data_directory(environ) / "runtime"


def _by_file(path: Path) -> RunningKernel:
    path = path.absolute()
    kernel = _look(path, processes.named_files().get(path))
    if kernel is None:
        why = "There is no such file"
        with suppress(OSError):
            why = "It is no connection file" if _is_mine(path.stat()) else "It belongs to another user"
        raise KernelTypeNotFound(f"no kernel can be found by {path}", why=why)
    return kernel


def _files(around: Around) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(runtime_directory(around.environ).glob("*.json"))
    yield from processes.private_files()


def _each_once(paths: Iterable[Path]) -> list[Path]:
    """Return the paths without those that lead to a file which another one leads to."""
    found: dict[tuple[int, int] | Path, Path] = {}
    for path in paths:
        with suppress(OSError, ValueError):
            status = path.stat()
            found.setdefault((status.st_dev, status.st_ino), path)
    return list(found.values())


def _each_kernel_once(kernels: Sequence[RunningKernel]) -> list[RunningKernel]:
    """Return the kernels without further files of one that lives.

    In Jupyter's tools a kernel that moorage provides has two files: theirs, by which it is known, and
    moorage's own, in its private directory.
    """
    known: dict[object, RunningKernel] = {}
    for one in sorted(kernels, key=lambda one: one.owner == "moorage"):
        address = (one.info.transport, one.info.ip, one.info.hb_port, one.info.key)
        known.setdefault((one.pid or address) if one.alive else one.connection_file, one)
    kept = {one.connection_file for one in known.values()}
    return [one for one in kernels if one.connection_file in kept]


def _read(path: Path) -> ConnectionInfo | None:
    """Return the content of a connection file of this user; None when it is none."""
    try:
        if not _is_mine(path.lstat()) or not _is_mine(path.stat()):
            return None
        content = json.loads(read_regular(path, _LARGEST))
        if not isinstance(content, dict) or not is_complete(content):
            return None
        return ConnectionInfo.from_dict(content)
    except (OSError, ValueError, ProtocolError, RecursionError):
        return None


def _look(path: Path, pid: int | None) -> RunningKernel | None:
    """Return the kernel that a file and its sockets show; None when it is no connection file of this user."""
    info = _read(path)
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if info is None:
        return None
    greeting = _greeting(info)
    listens = greeting is not None
    pid = processes.listener(info.transport, _reachable(info.ip), info.hb_port, pid) if listens else None
    stopped = "" if pid is None else processes.held(pid)
    alive = greeting == _ZMTP or bool(stopped)
    if not alive or (pid is not None and _belongs(pid, path, info) is False):
        alive, pid, stopped = False, None, ""
    ip = _reachable(info.ip)
    foreign = alive and processes.is_another_users(info.transport, ip, info.hb_port, path, pid)
    began = None if pid is None else processes.began(pid)
    return RunningKernel(
        id=_id(path),
        connection_file=path,
        kernel_name=info.kernel_name,
        info=info,
        alive=alive,
        pid=pid,
        age=max(0.0, time.time() - (began or status.st_mtime)),
        memory=None if pid is None else processes.memory(pid),
        owner=_owner(path),
        stopped=stopped,
        foreign=foreign,
    )


def _belongs(pid: int, path: Path, info: ConnectionInfo) -> bool | None:
    """Tell whether a process that listens at a file's address is its kernel; None where that is not certain.

    Ports are used again: a process that was started with another file which names the same port is not. It
    is where the keys are the same, as with the file of a kernel that registered.
    """
    if processes.is_kernel_of(pid, path, info.transport):
        return True
    try:
        others = [_read(file) for file in processes.files_of(pid)]
    except OSError:
        return None
    same = [other for other in others if other is not None and other.hb_port == info.hb_port]
    if any(other.key == info.key and info.key for other in same):
        return True
    return False if same else None


def confirmed(kernel: RunningKernel) -> tuple[int | None, int | None]:
    """Look at the process that listens at a kernel's address now.

    Returns:
        It, where it is certain to be the kernel, else None; and what was seen to listen, if anything.
    """
    info = kernel.info
    pid = processes.listener_alone(info.transport, _reachable(info.ip), info.hb_port, kernel.pid)
    if pid is None or not _belongs(pid, kernel.connection_file, info):
        return None, pid
    return pid, pid


def _told_apart(kernels: list[RunningKernel]) -> Iterator[RunningKernel]:
    """Yield the kernels, each with an id of its own: files of one name lie in folders of several."""
    names = Counter(one.id for one in kernels)
    for one in kernels:
        folder = one.connection_file.parent
        path = "-".join([*folder.parts[1:], one.id])
        yield one if names[one.id] == 1 else replace(one, id=path)


def shortest_ids(names: list[str], least: int = 8) -> list[str]:
    """Return of each id the beginning that no other has.

    Args:
        names: ids of kernels.
        least: characters that are kept of each.
    """
    result = []
    for name in names:
        length = least
        while length < len(name) and sum(other.startswith(name[:length]) for other in names) > 1:
            length += 1
        result.append(name[:length])
    return result


def _is_mine(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


def _id(path: Path) -> str:
    if _owner(path) == "moorage":
        return path.parent.name
    return path.stem.removeprefix("kernel-")


def _owner(path: Path) -> str:
    if processes.is_private(path):
        return "moorage"
    return "jupyter" if path.name.startswith("kernel-") else "other"


def _greeting(info: ConnectionInfo) -> bytes | None:
    """Return what is said at once at a kernel's heartbeat; None where nothing listens."""
    family = socket.AF_INET6 if ":" in info.ip else socket.AF_INET
    address: tuple[str, int] | str = (_reachable(info.ip), info.hb_port)
    if info.transport == "ipc":
        if not hasattr(socket, "AF_UNIX"):
            return None
        family, address = socket.AF_UNIX, f"{info.ip}-{info.hb_port}"
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(_GREETING_SECONDS)
            probe.connect(address)
            with suppress(TimeoutError):
                return probe.recv(1)
            return b""
    except (OSError, ValueError, TypeError):  # the last two: what stands in the file is no address
        return None


def _reachable(ip: str) -> str:
    """Return where to connect for a kernel that listens everywhere."""
    return {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}.get(ip, ip.strip("[]"))  # noqa: S104 - compared, not bound
