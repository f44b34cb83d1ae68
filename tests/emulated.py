"""Runs code in which moorage, and moorage alone, finds itself on macOS or Windows: ``SYSTEM CODE``.

What moorage imports by itself is exchanged: ``sys.platform`` and ``os.name`` say the other system's, modules
that it has not cannot be imported, names that it has not are gone from the modules it has. Everybody else,
the standard library and pyzmq included, goes on on Linux.
"""

from __future__ import annotations

import builtins
import sys
from types import ModuleType

LINUX_ONLY = {
    "os": "memfd_create pidfd_open P_PIDFD sched_getaffinity sched_setaffinity sched_yield setns unshare"
    " eventfd splice O_TMPFILE O_PATH posix_fadvise getrandom preadv2 pwritev2 setresuid setresgid",
    "signal": "pidfd_send_signal sigwaitinfo sigtimedwait SIGRTMIN SIGRTMAX SIGPWR SIGPOLL SIGSTKFLT",
    "select": "epoll EPOLLIN EPOLLOUT EPOLLHUP EPOLLERR POLLRDHUP",
    "socket": "SO_PEERCRED SOCK_CLOEXEC SOCK_NONBLOCK AF_NETLINK AF_PACKET AF_VSOCK SO_BINDTODEVICE SO_MARK",
}
POSIX_ONLY = {
    "os": "fork forkpty register_at_fork killpg setsid setpgid getpgid getsid getuid geteuid getgid getegid"
    " getgroups setuid setgid setgroups chown lchown fchown fchmod chroot environb getenvb mkfifo mknod nice"
    " wait wait3 wait4 waitid WNOHANG WEXITED posix_spawn posix_spawnp POSIX_SPAWN_OPEN pread pwrite statvfs"
    " uname getloadavg sysconf ttyname tcgetpgrp openpty O_CLOEXEC O_NONBLOCK O_NOFOLLOW O_DIRECTORY O_NOCTTY"
    " O_SYNC sendfile lockf",
    "signal": "SIGKILL SIGSTOP SIGCONT SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGCHLD SIGALRM SIGPIPE SIGTSTP SIGTTIN"
    " SIGTTOU SIGWINCH SIGXFSZ SIGXCPU SIGURG SIGIO SIGTRAP SIGBUS SIGPROF SIGVTALRM SIGSYS alarm setitimer"
    " getitimer pause pthread_kill pthread_sigmask SIG_SETMASK SIG_BLOCK SIG_UNBLOCK sigpending sigwait"
    " siginterrupt",
    "select": "poll POLLIN POLLOUT POLLHUP POLLERR POLLNVAL POLLPRI",
    "socket": "AF_UNIX send_fds recv_fds SCM_RIGHTS CMSG_LEN CMSG_SPACE SO_REUSEPORT",
    "time": "tzset clock_gettime CLOCK_MONOTONIC CLOCK_BOOTTIME pthread_getcpuclockid",
}
SYSTEMS: dict[str, tuple[str, tuple[dict[str, str], ...], frozenset[str]]] = {
    "linux": ("posix", (), frozenset()),
    "darwin": ("posix", (LINUX_ONLY,), frozenset()),
    "win32": (
        "nt",
        (LINUX_ONLY, POSIX_ONLY),
        frozenset({"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix"}),
    ),
}
"""System -> what ``os.name`` is there, what modules lack there, which are not there."""


STREAMS = ("stdin", "stdout", "stderr")


class System(ModuleType):
    """A copy of a module that shares the standard streams with ``sys``: they may be put in others' place."""

    def __getattr__(self, name: str):
        if name in STREAMS:
            return getattr(sys, name)
        raise AttributeError(f"no {name} here")

    def __setattr__(self, name: str, value) -> None:
        if name in STREAMS:
            setattr(sys, name, value)
        else:
            super().__setattr__(name, value)


def emulate(system: str) -> None:
    """Let every import by a module of moorage from now on find ``system``."""
    name, lacks, missing = SYSTEMS[system]
    changed: dict[str, ModuleType] = {}
    for real in map(__import__, ("sys", "os", "signal", "select", "socket", "time")):
        changed[real.__name__] = copy = System(real.__name__)
        vars(copy).update(vars(real))
    vars(changed["sys"])["platform"] = system
    for stream in STREAMS:
        del vars(changed["sys"])[stream]
    vars(changed["os"])["name"] = name
    for table in lacks:
        for module, names in table.items():
            for each in names.split():
                vars(changed[module]).pop(each, None)
    original = builtins.__import__

    def find(module, space=None, local=None, fromlist=(), level=0):
        asks = (space or {}).get("__name__", "")
        if level == 0 and asks.partition(".")[0] == "moorage":
            first = module.partition(".")[0]
            if first in missing:
                raise ModuleNotFoundError(f"No module named {module!r}", name=module)
            if module in changed or (first in changed and not fromlist):
                return changed[first]
        return original(module, space, local, fromlist, level)

    builtins.__import__ = find


if __name__ == "__main__":
    emulate(sys.argv[1])
    exec(sys.argv[2], {"__name__": "__main__", "arguments": sys.argv[3:]})
