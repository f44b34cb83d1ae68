"""Into a network namespace of one's own: loopback up, and otherwise the same user with the same rights.

:func:`enter` moves the process that calls it; what it then executes finds nothing changed but the network:
uid, gid, HOME, working directory, descriptors and signals are as they were, and no wrapper stands between it
and its parent. Who may not make a network namespace makes a user namespace around it, in which every id is
mapped to itself. docs/design/0008-isolation.md says why it is done so.

The warden and zygotes load this file by its path, without the package, and from Python 3.9 on. Run by its
path it tries, and says which step was refused with which errno: ``python -I -S -E isolate.py [LO HI]``.

Source: user_namespaces(7), network_namespaces(7), capabilities(7), netdevice(7).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

assert sys.platform == "linux", "only Linux has network namespaces"

CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000
PR_CAPBSET_DROP = 24
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
CAP_SETGID, CAP_SETUID, CAP_NET_ADMIN, CAP_SYS_ADMIN = 6, 7, 12, 21
PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"

_CAPABILITY_VERSION_3 = 0x2008_0522
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(OSError):
    """One step was refused.

    Attributes:
        stage: ``isolate/user``, ``isolate/map``, ``isolate/net``, ``isolate/loopback``, ``isolate/rights`` or
            ``isolate/ports``.
    """

    def __init__(self, stage: str, number: int) -> None:
        super().__init__(number, os.strerror(number))
        self.stage = f"isolate/{stage}"


class Rights:
    """The capabilities of this process, as /proc tells them: sets of bits."""

    def __init__(self) -> None:
        found = {}
        for line in _read("/proc/self/status").splitlines():
            name, _, value = line.partition(":")
            if name.startswith("Cap"):
                found[name] = int(value, 16)
        self.inheritable = found["CapInh"]
        self.permitted = found["CapPrm"]
        self.effective = found["CapEff"]
        self.bounding = found["CapBnd"]

    def have(self, *capabilities: int) -> bool:
        """Tell whether all of these are effective."""
        return all(self.effective >> one & 1 for one in capabilities)

    def restore(self) -> None:
        """Give up what this process has gained since.

        Without it user 0 would hold, after the next exec, every capability that a user namespace gives, and
        a process that executes nothing would keep them.

        Raises:
            OSError: as the system says.
        """
        for one in range(64):
            if not self.bounding >> one & 1 and _libc.prctl(PR_CAPBSET_DROP, one, 0, 0, 0) != 0:
                break  # EINVAL: there are no more
        sets = []
        for shift in (0, 32):
            sets += [
                bits >> shift & 0xFFFF_FFFF for bits in (self.effective, self.permitted, self.inheritable)
            ]
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        _checked(_libc.capset(header, (ctypes.c_uint32 * 6)(*sets)))


def enter(ports: tuple[int, int] | None = None) -> None:
    """Move this process, which must have one thread only, into a network namespace of its own.

    Args:
        ports: first and last of the ports that ``bind`` and ``connect`` hand out there; None leaves the
            system's range.

    Raises:
        Refused: a step was refused. The process may already stand in a user namespace: let it end.
    """
    rights = Rights()
    # Both: a container may have been given SYS_ADMIN alone, which makes a namespace but configures none.
    own = not rights.have(CAP_SYS_ADMIN, CAP_NET_ADMIN)
    if own:
        _enter_user_namespace(whole=rights.have(CAP_SETUID, CAP_SETGID))
    stage = "net"
    try:
        _checked(_libc.unshare(CLONE_NEWNET))
        stage = "loopback"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        if ports is not None:
            stage = "ports"
            _write(PORT_RANGE, f"{ports[0]} {ports[1]}")
        if own:
            stage = "rights"
            rights.restore()
    except OSError as error:
        raise Refused(stage, error.errno or 0) from None


def _enter_user_namespace(*, whole: bool) -> None:
    """Make a user namespace in which everybody is who he is outside, as far as this process may say so."""
    uid, gid = os.geteuid(), os.getegid()  # inside, unmapped, everybody is nobody
    writer = _Writer() if whole else None
    try:
        try:
            _checked(_libc.unshare(CLONE_NEWUSER))
        except OSError as error:
            raise Refused("user", error.errno or 0) from None
        try:
            if writer is not None:
                writer.write()
            _map_oneself(uid, gid)
        except OSError as error:
            raise Refused("map", error.errno or 0) from None
    finally:
        if writer is not None:
            writer.end()


def _map_oneself(uid: int, gid: int) -> None:
    """Map one's own ids, all that everybody may, unless a writer has mapped more."""
    if not _read("/proc/self/uid_map"):
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
    if not _read("/proc/self/gid_map"):
        _write("/proc/self/setgroups", "deny")  # or the next line is refused, see user_namespaces(7)
        _write("/proc/self/gid_map", f"{gid} {gid} 1")


class _Writer:
    """A child that stays outside, and from there may map every id.

    The root of a container is one who has no CAP_SYS_ADMIN but may do that, and without it would lose his
    right over other users' files.
    """

    def __init__(self) -> None:
        waiting, self._go = os.pipe()
        self._ended = False
        ids = {name: _as_they_are(name) for name in ("uid_map", "gid_map")}
        target = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._go)
                if os.read(waiting, 1):
                    for name, lines in ids.items():
                        _write(f"/proc/{target}/{name}", lines)
            except OSError:  # then one's own id alone has to do
                pass
            finally:
                os._exit(0)
        os.close(waiting)

    def write(self) -> None:
        """Have it write, and wait until it has."""
        os.write(self._go, b".")
        self.end()

    def end(self) -> None:
        """Wait until it has ended."""
        if self._ended:
            return
        self._ended = True
        os.close(self._go)
        try:  # noqa: SIM105 - contextlib would be one more module to load
            os.waitpid(self._pid, 0)
        except ChildProcessError:  # whoever ignores SIGCHLD has it reaped, when it has ended
            pass


def _as_they_are(name: str) -> str:
    """Return a map of every id to itself: of those this process can see."""
    extents = [line.split() for line in _read(f"/proc/self/{name}").splitlines()]
    return "".join(f"{first} {first} {count}\n" for first, _, count in extents)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _read(path: str) -> str:
    with open(path) as file:  # noqa: PTH123 - pathlib would double the start-up time
        return file.read()


def _write(path: str, text: str) -> None:
    # In one write(2) of its own: these files take all or nothing.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def main() -> int:
    """Try, and print which step was refused with which errno."""
    ports = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else None
    try:
        enter(ports)
    except Refused as error:
        os.write(1, f"{error.stage} {error.errno}\n".encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
