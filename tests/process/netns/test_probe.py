"""Why there is no namespace, in words, and the probe that tells."""

from __future__ import annotations

import errno
import sys

import pytest

from moorage.errors import IsolationError, UsageError
from moorage.process.netns.probe import Locks, explain, locks, obstacle
from ordinary import ordinary_user

EPERM = errno.EPERM


@pytest.mark.parametrize(
    ("stage", "number", "closed", "says", "do"),
    [
        (
            "user",
            errno.ENOSPC,
            Locks(user_namespaces=0),
            "max_user_namespaces is 0",
            "user.max_user_namespaces=",
        ),
        ("net", errno.ENOSPC, Locks(net_namespaces=0), "max_net_namespaces is 0", "user.max_net_namespaces="),
        ("user", errno.ENOSPC, Locks(user_namespaces=9), "max_user_namespaces is reached", "Run fewer"),
        ("user", errno.EUSERS, Locks(user_namespaces=9), "nested too deep", "further out"),
        ("user", EPERM, Locks(unprivileged=0), "kernel.unprivileged_userns_clone is 0", "clone=1"),
        ("map", EPERM, Locks(apparmor=1), "AppArmor", "profile"),
        ("net", EPERM, Locks(apparmor=1), "AppArmor", "profile"),
        (
            "user",
            EPERM,
            Locks(apparmor=1, root=True, seccomp=True),
            "system call filter",
            "seccomp=unconfined",
        ),
        ("user", EPERM, Locks(apparmor=0, unprivileged=1, seccomp=True), "system call filter", "seccomp="),
        ("user", errno.ENOSYS, Locks(seccomp=True), "Function not implemented", "seccomp=unconfined"),
        ("user", EPERM, Locks(chroot=True, seccomp=True), "chroot", "outside"),
        ("map", EPERM, Locks(root=True), "may not map itself", "SETFCAP"),
        ("map", errno.ENOENT, Locks(), "/proc is not mounted", "Mount"),
        ("user", errno.EINVAL, Locks(), "CONFIG_USER_NS", "machine whose kernel"),
        ("net", errno.EINVAL, Locks(), "CONFIG_NET_NS", "machine whose kernel"),
        ("user", errno.EACCES, Locks(), "SELinux", "administrator"),
        (
            "loopback",
            EPERM,
            Locks(),
            "isolate/loopback was refused: Operation not permitted",
            "administrator",
        ),
        ("ports", errno.EINVAL, Locks(), "no range of ports", "1024"),
        ("ports", errno.EROFS, Locks(), "/proc/sys cannot be written", "Leave the port range out"),
    ],
)
def test_a_refusal_is_told_with_its_reason_and_what_to_do(stage, number, closed, says, do):
    error = explain(f"isolate/{stage}", number, closed)
    assert isinstance(error, UsageError), "nothing was done"
    assert (error.code, error.fault) == ("E-ISOLATE", "machine")
    assert says in error.why
    assert do in error.do
    assert "{" not in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_how_the_locks_stand_here():
    found = locks()
    assert found.user_namespaces is None or found.user_namespaces >= 0
    assert not found.chroot


def test_the_probe_tells_or_is_content():
    error = obstacle()
    assert error is None or isinstance(error, IsolationError)


@pytest.mark.skipif(sys.platform != "linux" or obstacle() is not None, reason="only Linux has namespaces")
def test_the_probe_tells_which_limit(monkeypatch):
    script = "from moorage.process.netns.probe import obstacle; print(obstacle())"
    limit = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --ambient-caps -all --inh-caps -all"
    before = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", f'{limit} "$@"', "sh"]
    with ordinary_user() as user:
        done = user.run(*before, user.python, "-c", script)
    assert "The limit user.max_user_namespaces is 0" in done.stdout, done.stderr


def test_elsewhere_it_says_that_only_linux_has_them(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    error = obstacle()
    assert error is not None
    assert str(error).endswith("Leave the isolation out: no port is ever shared without it either.")
