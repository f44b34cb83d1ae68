"""Starting what is to outlive this process."""
# ruff: noqa: E402 - what it imports is not there on Windows

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import DeadlineExceeded, KeeperLost, LaunchError, MoorageError, UsageError
from moorage.json_types import JsonMapping
from moorage.keeper.kept import Kept
from moorage.keeper.link import KeeperLink, linked
from moorage.keeper.process import record
from moorage.keeper.tidy import errors_of, tidy
from moorage.process.base import LocalSpec
from moorage.process.environment import checked
from moorage.process.explain import explain
from moorage.process.options import ProcessOptions
from moorage.tasks import in_thread
from moorage.trust import distrust_folder

if sys.platform == "linux":
    from moorage.keeper.tidy import outwait_keeper

START = 20.0
"""Seconds that a keeper may take to start its charge; 0.05 is usual."""
LEASE = 3600.0
GRACE = 10.0
LOG = 4 << 20
_PATH = 107 - len(record.SOCKET) - 1
"""Bytes that a directory's path may have, as an address of a Unix socket has 107."""
_LIBRARIES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""What an interpreter may need to start at all; a keeper gets nothing else of the environment."""

KeeperStart = Callable[[Path, int, int], Callable[[], object]]
"""Begins a keeper, given its directory and the descriptors of its first link and its lock, which it is to
inherit; returns what blocks until the process that leads to it has been reaped. An OSError refuses."""


async def start(
    command: Sequence[str],
    *,
    directory: Path,
    name: str | None = None,
    cwd: str | Path = "/",
    env: Mapping[str, str] | None = None,
    process: ProcessOptions | None = None,
    lease: float = LEASE,
    grace: float = GRACE,
    log: int = LOG,
    label: str = "",
    keeper: KeeperStart | None = None,
    warden: bool = False,
    walls: JsonMapping | None = None,
    groups: Sequence[str] = (),
) -> Kept:
    """Start a process that lives on when this one ends, and return it, attached.

    It runs when this returns; to wait until it is of use there is
    :meth:`~moorage.keeper.kept.Kept.while_running`. Cancelling leaves nothing behind.

    Args:
        command: program and arguments; the program is looked up on the PATH in ``env``.
        directory: where the directories of kept processes are; it is made where it is not. No other user may
            write to it.
        name: of the directory in it; None for one of eight random letters.
        cwd: absolute working directory.
        env: its whole environment; None for this process's.
        process: user, group, limits, umask; no descriptors.
        lease: seconds for which nothing may be attached, or it is ended; 0 for ever.
        grace: seconds between SIGTERM and SIGKILL when the lease has run out.
        log: bytes of its stdout and stderr that are kept on disk, the newest.
        label: what to call it in messages; it is shown to every user that asks.
        keeper: how its keeper is begun; None for a new interpreter.
        warden: have a warden beside it, so that it can be put to sleep. Keepers that are forked have one.
        walls: that it runs behind, on Linux: see :func:`moorage.process.walls.view.build` and
            :func:`moorage.process.walls.inside.enter`; None for none.
        groups: files ``cgroup.procs`` of control groups that it goes into, where it has no walls.

    Raises:
        UsageError: an argument cannot be; nothing was done.
        LaunchError: the program or the working directory does not exist or cannot be used.
        KeeperLost: the keeper did not come up.
        DeadlineExceeded: it did not in 20 s.
    """
    environment = dict(os.environ if env is None else env)
    checked(environment)
    spec = LocalSpec(tuple(command), str(cwd), environment, process=process)
    message = _message(spec, lease, grace, log, label)
    message |= {"warden": warden, "walls": None if walls is None else dict(walls), "groups": [*groups]}
    folder, lock = _made(directory, name)
    link = None
    try:
        link, forked = await _linked(folder, lock, keeper or _spawned)
        async with asyncio.timeout(START):
            await forked
            link.tell("start", **message)
            await link.until(lambda: _is_decided(link))
        _check_start(link, spec, folder)
        return Kept(folder, link)
    except TimeoutError:
        await _undone(folder, link)
        raise DeadlineExceeded(f"the keeper of {folder.name} did not start within {START:g} s") from None
    except BaseException:
        await _undone(folder, link)
        raise


def _is_decided(link: KeeperLink) -> bool:
    """Tell whether the charge runs, ran, or cannot be started."""
    return link.failure is not None or (link.latest is not None and link.latest["state"] != "starting")


def _check_start(link: KeeperLink, spec: LocalSpec, folder: Path) -> None:
    if link.failure is not None:
        raise explain(spec, str(link.failure["stage"]), int(link.failure["errno"] or 0))
    if not _is_decided(link):
        raise KeeperLost(f"the keeper of {folder.name} did not come up", why=errors_of(folder))


def _message(spec: LocalSpec, lease: float, grace: float, log: int, label: str) -> dict[str, object]:
    """Return what a keeper is told, which is checked here as it will be there."""
    if not spec.argv or not all(isinstance(part, str) for part in spec.argv):
        raise UsageError("there is no command to keep", do="Give a program, and its arguments as text")
    if not Path(spec.cwd).is_absolute():
        raise UsageError(f"{spec.cwd} is no absolute directory to start in")
    for what, value in (("lease", lease), ("grace", grace), ("log", log)):
        if not 0 <= value <= 1e9:  # NaN is none of these
            raise UsageError(f"{what} is {value!r}", why="It is a number from 0 to 1e9")
    process = None if spec.process is None else spec.process.to_dict()
    if process is not None and process["pass_fds"]:
        raise UsageError("a kept process gets no descriptors of this one", why="It is no child of this one")
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "id": secrets.token_hex(16),
        "label": label,
        "argv": list(spec.argv),
        "env": dict(spec.env),
        "cwd": spec.cwd,
        "umask": umask,
        "process": process,
        "lease": lease,
        "grace": grace,
        "log": int(log),
        "portable": bool(os.environ.get("MOORAGE_PORTABLE")),
    }


def _made(directory: Path, name: str | None) -> tuple[Path, int]:
    """Make the directory of one kept process; return it with its lock."""
    directory = directory.absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = distrust_folder(directory)
        if reason is not None:
            raise UsageError(f"nothing is kept in {directory}", why=reason.why, do=reason.do)
        while True:
            folder = _folder(directory, name or secrets.token_hex(4))
            folder.mkdir(mode=0o700)
            try:
                return folder, record.claim(str(folder))
            except FileNotFoundError:  # removed, as this process was stopped for a minute
                continue
            except OSError:
                record.remove(str(folder))
                raise
    except FileExistsError:
        what = f"there is a kept process {name} in {directory} already"
        raise UsageError(what, do="Use another name") from None
    except OSError as error:
        raise LaunchError(f"nothing can be kept in {directory}", why=error.strerror or str(error)) from error


def _folder(directory: Path, name: str) -> Path:
    folder = directory / name
    if folder.parent != directory or name.startswith("."):
        raise UsageError(f"{name!r} is no name of a kept process", do="Use letters, digits, - and _")
    if len(os.fsencode(folder)) > _PATH:
        what, why = f"{folder} is too long for a socket's address", f"It may have {_PATH} bytes"
        raise UsageError(what, why=why, do="Name a directory with a shorter path")
    return folder


async def _linked(folder: Path, lock: int, keeper: KeeperStart) -> tuple[KeeperLink, asyncio.Future[object]]:
    """Start a keeper, to which the lock goes; return the link to it, and when what forks it has ended."""
    opened: list[socket.socket] = []
    try:
        opened += socket.socketpair()
        ours, theirs = opened
        ours.setblocking(False)
        # It forks once, and ends; it is waited for in any case, whatever is cancelled.
        forked = in_thread(keeper(folder, theirs.fileno(), lock), name="keeper")
    except OSError as error:
        for each in opened:
            each.close()
        raise LaunchError(
            "no keeper can be started",
            why=error.strerror or str(error),
            do="Raise `ulimit -n`" if error.errno in (errno.EMFILE, errno.ENFILE) else "",
        ) from error
    finally:
        os.close(lock)
    theirs.close()
    return await linked(ours, folder.name), forked


def _spawned(folder: Path, link: int, lock: int) -> Callable[[], object]:
    program = Path(__file__).parent / "process" / "main.py"
    with open(folder / record.ERRORS, "wb") as errors:  # noqa: PTH123 - as short as it can be
        popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-E", str(program), str(link), str(lock), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[link, lock],
            start_new_session=True,
            cwd="/",
            env={name: os.environ[name] for name in _LIBRARIES if name in os.environ},
        )
    return popen.wait


async def _undone(folder: Path, link: KeeperLink | None) -> None:
    """End a keeper that was not to be, and remove its directory; what takes too long is left to ``find``."""
    if link is None:
        record.remove(str(folder))
        return
    link.tell("end", grace=0)
    with suppress(TimeoutError, MoorageError):
        async with asyncio.timeout(START):
            await link.until(lambda: False)
    link.close()
    found = record.read(str(folder))
    if not tidy(folder) and found is not None and sys.platform == "linux":
        await in_thread(lambda: outwait_keeper(found, START, kill=True))
        tidy(folder)
