"""Whether this machine gives a network namespace, and if not, why not and what to do about it.

The refusals of Linux are poor in words: EPERM is said by four different locks. So what is known to be a lock
is looked at, and named when it is closed.

Source: user_namespaces(7), unshare(2) and namespaces(7); Debian's and Ubuntu's sysctls from their kernels.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from moorage.errors import IsolationError

HELPER = Path(__file__).with_name("enter.py")
_WHAT = "no network namespace can be had here"
_DO_WITHOUT = "or leave the isolation out: no port is ever shared without it either"
_PATIENCE = 30.0
"""Seconds that trying may take; 0.02 is usual."""


@dataclass(frozen=True)
class Locks:
    """What can forbid namespaces, as it stands here; None where the system has no such lock.

    Attributes:
        user_namespaces: most user namespaces below this one (``user.max_user_namespaces``).
        net_namespaces: most network namespaces (``user.max_net_namespaces``).
        unprivileged: Debian's ``kernel.unprivileged_userns_clone``.
        apparmor: Ubuntu's ``kernel.apparmor_restrict_unprivileged_userns``.
        seccomp: a system call filter is in force, as in containers.
        chroot: this process lives in a chroot.
        root: it is user 0.
    """

    user_namespaces: int | None = None
    net_namespaces: int | None = None
    unprivileged: int | None = None
    apparmor: int | None = None
    seccomp: bool = False
    chroot: bool = False
    root: bool = False


def locks() -> Locks:
    """Return how the locks stand for this process."""
    return Locks(
        user_namespaces=_number("user/max_user_namespaces"),
        net_namespaces=_number("user/max_net_namespaces"),
        unprivileged=_number("kernel/unprivileged_userns_clone"),
        apparmor=_number("kernel/apparmor_restrict_unprivileged_userns"),
        seccomp="\nSeccomp:\t2" in _text("/proc/self/status"),
        chroot=not any(line.split()[4:5] == ["/"] for line in _text("/proc/self/mountinfo").splitlines()),
        root=hasattr(os, "geteuid") and os.geteuid() == 0,
    )


def explain(stage: str, number: int, closed: Locks | None = None) -> IsolationError:
    """Turn a refused step into an error that says what to do.

    Args:
        stage: as in :class:`moorage.process.netns.enter.EnterRefused`.
        number: the errno it was refused with.
        closed: how the locks stand; default is to look.
    """
    closed = locks() if closed is None else closed
    if stage == "isolate/ports":
        return _ports(number)
    why, do = (_full if number in (errno.ENOSPC, errno.EUSERS) else _forbidden)(stage, number, closed)
    return IsolationError(_WHAT, why=why, do=f"{do}, {_DO_WITHOUT}")


def obstacle() -> IsolationError | None:
    """Try to make a network namespace, in a process of its own; 20 ms.

    Returns:
        What prevents it, or None when it works.
    """
    if sys.platform != "linux":
        return IsolationError(
            _WHAT, why=f"Only Linux has them, and this is {sys.platform}", do=_DO_WITHOUT[3:].capitalize()
        )
    command = [sys.executable, "-I", "-S", "-E", str(HELPER)]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return IsolationError(_WHAT, why=f"Trying failed: {error}", do="Try again")
    if tried.returncode == 0:
        return None
    stage, _, number = tried.stdout.strip().partition(" ")
    if not number.isdigit():
        last = tried.stderr.strip().rpartition("\n")[2] or f"exit code {tried.returncode}"
        return IsolationError(_WHAT, why=f"Trying failed: {last}", do="Try again")
    return explain(stage, int(number))


def _ports(number: int) -> IsolationError:
    what = "the port range cannot be set"
    if number == errno.EINVAL:
        why = "It is no range of ports"
        return IsolationError(what, why=why, do="Give the first and the last, from 1024 on: 40000-40099")
    if number in (errno.EROFS, errno.ENOENT, errno.EACCES):
        why = "/proc/sys cannot be written here, as is usual in containers"
        return IsolationError(what, why=why, do="Leave the port range out, or run outside the container")
    return IsolationError(what, why=os.strerror(number), do="Leave the port range out")


def _full(stage: str, number: int, closed: Locks) -> tuple[str, str]:
    """Say which limit was met."""
    name, limit = "max_user_namespaces", closed.user_namespaces
    if stage == "isolate/net":
        name, limit = "max_net_namespaces", closed.net_namespaces
    if limit == 0:
        return f"The limit user.{name} is 0", f"As root, type `sysctl user.{name}=10000`"
    if number == errno.EUSERS:
        return "Namespaces are nested too deep here", "Start this further out"
    return (
        f"The limit user.{name} is reached, here or in what surrounds this container",
        f"Run fewer at once, as root raise it with `sysctl user.{name}=100000`",
    )


def _forbidden(stage: str, number: int, closed: Locks) -> tuple[str, str]:
    """Name the lock that is closed; the surest sign first."""
    unbuilt = {"isolate/user": "CONFIG_USER_NS", "isolate/net": "CONFIG_NET_NS"}
    signs = (
        (number == errno.EINVAL and stage in unbuilt, (_UNBUILT[0].format(unbuilt.get(stage)), _UNBUILT[1])),
        (stage == "isolate/map" and number == errno.ENOENT, _NO_PROC),
        (closed.unprivileged == 0, _UNPRIVILEGED),
        (closed.apparmor == 1 and not closed.root, _APPARMOR),
        (closed.chroot, _CHROOT),
        (stage == "isolate/map" and closed.root, _NO_SETFCAP),
        (closed.seccomp, (_SECCOMP[0].format(os.strerror(number)), _SECCOMP[1])),
        (number == errno.EACCES, _POLICY),
    )
    unknown = f"The step {stage} was refused: {os.strerror(number)}", "Ask the administrator of this machine"
    return next((said for found, said in signs if found), unknown)


_UNBUILT = "The kernel of this machine was built without {}", "Use a machine whose kernel has it"
_NO_PROC = "/proc is not mounted here, or masked", "Mount it"
_UNPRIVILEGED = (
    "The sysctl kernel.unprivileged_userns_clone is 0: only root may make user namespaces",
    "As root, type `sysctl kernel.unprivileged_userns_clone=1`",
)
_APPARMOR = (
    "AppArmor forbids it: the sysctl kernel.apparmor_restrict_unprivileged_userns is 1",
    "As root, set it to 0, give this Python an AppArmor profile with the rule `userns,`",
)
_CHROOT = "This runs in a chroot, where Linux makes no user namespaces", "Run it outside"
_NO_SETFCAP = (
    "This root may not map itself into a user namespace",
    "Give the container the capability SETFCAP, run as an ordinary user",
)
_SECCOMP = (
    "The container's system call filter forbids it ({})",
    "Start the container with `--security-opt seccomp=unconfined`, with `--cap-add SYS_ADMIN`",
)
_POLICY = "The security policy of this machine (SELinux, say) forbids it", "Ask the administrator"


def _number(name: str) -> int | None:
    try:
        return int(_text(f"/proc/sys/{name}"))
    except ValueError:
        return None


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
