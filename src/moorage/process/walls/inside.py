"""In the forked child of a keeper: go behind walls, for good, and tend what runs there.

The child is process 1 of a process namespace, made by :func:`clone`. It goes behind the walls by
:func:`enter`, forks the program, and does nothing any more but reap: when the program ends, it tells how and
ends, and with it all that is left there. ``walls`` is what :mod:`moorage.temp.walled` makes.

Loaded by keepers by its path, without the package: standard library only, from Python 3.9 on. Source:
clone(2), pid_namespaces(7), user_namespaces(7), capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

assert sys.platform == "linux", "only Linux has namespaces"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, NoReturn

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process.netns import enter as namespaces
    from moorage.process.walls import landlock, system_calls, view
    from moorage.process.warden import confine
else:
    from netns import enter as namespaces
    from walls import landlock, system_calls, view
    from warden import confine

CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x0400_0000, 0x0800_0000, 0x2000_0000
_SPACES = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID
_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220}
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38


class WallRefused(OSError):
    """One step was refused.

    Attributes:
        stage: ``walls/map``, ``walls/files``, ``walls/network``, ``walls/groups``, ``walls/limits``,
            ``walls/rlimits``, ``walls/user``, ``walls/landlock`` or ``walls/calls``.
    """

    def __init__(self, stage: str, number: int) -> None:
        super().__init__(number, os.strerror(number))
        self.stage = f"walls/{stage}"


def clone(walls: dict[str, Any]) -> int:
    """Fork, the child being process 1 of namespaces of its own; as os.fork otherwise.

    The C library's fork cannot: this is the system call, with what Python does before and after a fork.

    Args:
        walls: ``user_namespace``: whether the child needs one to have the rights to the others.

    Raises:
        OSError: as the system says.
    """
    number = _CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(38, os.strerror(38))  # ENOSYS
    flags = _SPACES | (namespaces.CLONE_NEWUSER if walls["user_namespace"] else 0)
    python, libc = ctypes.pythonapi, ctypes.PyDLL(None, use_errno=True)  # neither lets another thread run
    python.PyOS_BeforeFork()
    pid: int = libc.syscall(number, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid


def enter(walls: dict[str, Any], ids: tuple[int, int]) -> None:
    """Go behind the walls, but for the last ones: see :func:`close`.

    Args:
        walls: what is asked for.
        ids: effective user and group before the user namespace was made.

    Raises:
        WallRefused: a step was refused.
    """
    machine = os.uname().machine
    stage = "limits"
    try:
        # What may import something comes first: behind the walls this Python may not be there.
        confine.limit(walls["rlimits"])
        if walls["relay"] is not None:
            _relays()
        stage = "groups"
        confine.join(walls["groups"])
        stage = "map"
        if walls["user_namespace"]:
            namespaces.map_oneself(*ids)
        stage = "network"
        namespaces.loopback_up()
        namespaces.checked(_libc.sethostname(walls["name"].encode(), len(walls["name"])))
        stage = "files"
        view.build(walls, machine)
    except OSError as error:
        raise WallRefused(getattr(error, "stage", stage), error.errno or 0) from None


def close(walls: dict[str, Any]) -> None:
    """Give up all rights, and close the last walls.

    Args:
        walls: what is asked for.

    Raises:
        WallRefused: a step was refused.
    """
    stage = "user"
    try:
        rights = namespaces.Rights()
        rights.bounding = rights.inheritable = rights.permitted = rights.effective = 0
        namespaces.checked(_libc.prctl(confine.PR_CAP_AMBIENT, confine.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
        rights.drop_bounding()
        if walls["user"] is not None:
            os.setgroups([])
            os.setregid(walls["group"], walls["group"])
            os.setreuid(walls["user"], walls["user"])
        rights.restore()
        namespaces.checked(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # its own processes may look at each other as elsewhere
        stage = "landlock"
        if walls["landlock"]:
            landlock.restrict([walls["private"], *view.WRITABLE, "/dev", "/proc"])
        stage = "calls"
        if walls["calls"]:
            namespaces.load_filter(system_calls.wall_filter(os.uname().machine))
    except OSError as error:
        raise WallRefused(stage, error.errno or 0) from None


def split(walls: dict[str, Any], fate: int) -> None:
    """Fork, and return in the child, which is to become the program; the parent tends it to its end.

    Args:
        walls: ``relay``: None, or the path of a Unix socket and the port that it is to lead to.
        fate: descriptor to which the parent writes the program's wait status.

    Raises:
        OSError: there is no room for another process.
    """
    helper = 0 if walls["relay"] is None else _relay(*walls["relay"])
    waiting, ready = os.pipe()
    program = os.fork()
    if program:
        _tend(program, helper, fate)
    os.close(ready)
    os.close(fate)
    os.read(waiting, 1)  # until the parent holds nothing any more that is not the visitor's
    os.close(waiting)


def _tend(program: int, helper: int, fate: int) -> NoReturn:
    """Reap what ends, until the program does, or what leads to it."""
    _close_all_but(fate)
    while True:
        pid, status = os.wait()
        if pid in (program, helper):
            os.write(fate, str(status).encode())
            os._exit(0 if status == 0 else 1)


def _relay(path: str, port: int) -> int:
    """Fork what leads from a Unix socket to a port of this network namespace; return its process id."""
    if pid := os.fork():
        return pid
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a caller that has gone ends its connection alone
        _close_all_but(0, 1, 2)
        os.umask(0o077)
        relay = _relays()
        relay.serve(relay.listen(path), port)
    except BaseException as error:  # noqa: BLE001 - boundary: a forked child must never return
        os.write(2, f"no port is reached: {error!r}\n".encode())
    finally:
        os._exit(1)


def _relays() -> ModuleType:
    """Return the module that leads to ports: few servers need it, and it takes threads."""
    if TYPE_CHECKING or __name__.startswith("moorage."):
        from moorage.process.netns import relay  # noqa: PLC0415 - see above
    else:
        from netns import relay  # noqa: PLC0415 - see above
    return relay


def _close_all_but(*kept: int) -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib is too large for a keeper
        if int(name) not in kept:
            try:  # noqa: SIM105 - contextlib would be one more module to load
                os.close(int(name))
            except OSError:  # the one by which they were listed
                pass


_libc = ctypes.CDLL(None, use_errno=True)
