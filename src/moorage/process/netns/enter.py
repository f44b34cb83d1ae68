"""Into a network namespace of one's own: loopback up, and otherwise the same user with the same rights.

:func:`enter` moves the process that calls it; what it then executes finds nothing changed but the network:
uid, gid, HOME, working directory, descriptors and signals are as they were, and no wrapper stands between it
and its parent. A process that may not make a network namespace makes a user namespace around it, in which
every id is mapped to itself. docs/design/0008-isolation.md says why it is done so.

The warden and templates load this file by its path, without the package, and from Python 3.9 on. Run by its
path it tries, and says which step was refused with which errno: ``python -I -S -E enter.py [LO HI]``.

A network namespace does not hold everything back. Sockets of families that know no namespaces (a virtual
machine's line to its host) are refused by a system call filter, and /sys is mounted anew, since the old one
shows the interfaces outside.

Source: user_namespaces(7), network_namespaces(7), capabilities(7), netdevice(7), seccomp(2), sysfs(5).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

assert sys.platform == "linux", "only Linux has network namespaces"

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000
PR_CAPBSET_DROP = 24
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_SLAVE = 1, 2, 4, 8, 0x1000, 0x4000, 0x8_0000
AF_VSOCK = 40
OUTSIDE = (AF_VSOCK, 21, 42)
"""Families that lead out of every network namespace: a virtual machine's line to its host, RDS, QIPCRTR."""
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
CAP_SETGID, CAP_SETUID, CAP_NET_ADMIN, CAP_SYS_ADMIN = 6, 7, 12, 21
PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"

_CAPABILITY_VERSION_3 = 0x2008_0522
_libc = ctypes.CDLL(None, use_errno=True)


class EnterRefused(OSError):
    """One step was refused.

    Attributes:
        stage: ``isolate/user``, ``isolate/map``, ``isolate/net``, ``isolate/loopback``, ``isolate/vsock``,
            ``isolate/rights`` or ``isolate/ports``.
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

    def drop_bounding(self) -> None:
        """Let no capability be gained any more that was not in the bounding set."""
        for one in range(64):
            if not self.bounding >> one & 1 and _libc.prctl(PR_CAPBSET_DROP, one, 0, 0, 0) != 0:
                break  # EINVAL: there are no more

    def restore(self) -> None:
        """Give up what this process has gained since.

        Without it user 0 would hold, after the next exec, every capability that a user namespace gives, and
        a process that executes nothing would keep them.

        Raises:
            OSError: as the system says.
        """
        self.drop_bounding()
        sets = []
        for shift in (0, 32):
            sets += [
                bits >> shift & 0xFFFF_FFFF for bits in (self.effective, self.permitted, self.inheritable)
            ]
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        checked(_libc.capset(header, (ctypes.c_uint32 * 6)(*sets)))


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
        checked(_libc.unshare(CLONE_NEWNET))
        stage = "loopback"
        loopback_up()
        if ports is not None:
            stage = "ports"
            _write(PORT_RANGE, f"{ports[0]} {ports[1]}")
        _hide_interfaces()
        stage = "vsock"
        _refuse_families()
        if own:
            stage = "rights"
            rights.restore()
    except OSError as error:
        raise EnterRefused(stage, error.errno or 0) from None


def _enter_user_namespace(*, whole: bool) -> None:
    """Make a user namespace in which every user is the same as outside, as far as this process may say so."""
    uid, gid = os.geteuid(), os.getegid()  # inside, unmapped, every user is 65534
    writer = _Writer() if whole else None
    try:
        try:
            checked(_libc.unshare(CLONE_NEWUSER))
        except OSError as error:
            raise EnterRefused("user", error.errno or 0) from None
        try:
            if writer is not None:
                writer.write()
            map_oneself(uid, gid)
        except OSError as error:
            raise EnterRefused("map", error.errno or 0) from None
    finally:
        if writer is not None:
            writer.end()


def loopback_up() -> None:
    """Bring up the loopback of the network namespace that this process is in.

    Raises:
        OSError: this process may not.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def map_oneself(uid: int, gid: int) -> None:
    """Map one's own ids, all that any process may, unless a writer has mapped more.

    Args:
        uid: effective user id outside the user namespace.
        gid: effective group id there.

    Raises:
        OSError: as the system says.
    """
    if not _read("/proc/self/uid_map"):
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
    if not _read("/proc/self/gid_map"):
        _write("/proc/self/setgroups", "deny")  # or the next line is refused, see user_namespaces(7)
        _write("/proc/self/gid_map", f"{gid} {gid} 1")


class _Writer:
    """A child that stays outside, and from there may map every id.

    The root of a container has no CAP_SYS_ADMIN but may do that, and without it would lose its
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
        except ChildProcessError:  # a caller that ignores SIGCHLD has it reaped, when it has ended
            pass


def _as_they_are(name: str) -> str:
    """Return a map of every id to itself: of those this process can see."""
    extents = [line.split() for line in _read(f"/proc/self/{name}").splitlines()]
    return "".join(f"{first} {first} {count}\n" for first, _, count in extents)


def _hide_interfaces() -> None:
    """Mount a sysfs of this network namespace over /sys, with what else is mounted there put back.

    Where that is forbidden, as in most containers, /sys shows what it did: names and counters, no way out.
    """
    mounts = [line.split() for line in _read("/proc/self/mountinfo").splitlines()]
    # proc(5): the mount point is field 5, the options are field 6, and the type follows the hyphen.
    options = [row[5] for row in mounts if row[4] == "/sys" and row[row.index("-") + 1] == "sysfs"]
    if not options:
        return
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (MS_RDONLY if "ro" in options[-1].split(",") else 0)
    kept = []
    try:
        checked(_libc.unshare(CLONE_NEWNS))
        mount("none", "/", MS_REC | MS_SLAVE)  # what is mounted outside appears here, and not the other way
        for point in _topmost([row[4] for row in mounts if row[4].startswith("/sys/")]):
            kept.append((point, os.open(point, os.O_PATH | os.O_CLOEXEC)))  # noqa: PERF401 - those opened are closed though one cannot be
        mount("sysfs", "/sys", flags, "sysfs")
        for point, fd in kept:
            mount(f"/proc/self/fd/{fd}", point, MS_BIND | MS_REC)
    except OSError:
        pass
    finally:
        for _, fd in kept:
            os.close(fd)


def _topmost(points: list[str]) -> list[str]:
    """Return the mount points that lie below no other, each once."""
    found: list[str] = []
    for point in sorted(points):
        if not any(point == one or point.startswith(one + "/") for one in found):
            found.append(point)
    return found


def mount(source: str, target: str, flags: int, kind: str | None = None, data: str = "") -> None:
    """Have something mounted.

    Raises:
        OSError: as the system says.
    """
    name = None if kind is None else kind.encode()
    words = (os.fsencode(source), os.fsencode(target), name, ctypes.c_ulong(flags), data.encode() or None)
    checked(_libc.mount(*words))


class _Program(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _refuse_families() -> None:
    """Let no socket of the families be made, here and in everything that this process starts.

    Raises:
        OSError: that is not possible, and there is a way out.
    """
    try:
        load_filter(system_call_filter())
    except OSError:
        try:
            socket.socket(AF_VSOCK, socket.SOCK_STREAM).close()
        except OSError:
            return  # it cannot be made anyway
        raise


def load_filter(program: bytes) -> None:
    """Have all system calls of this process, and of all that it starts, pass a filter.

    Args:
        program: one ``struct sock_filter`` after the other.

    Raises:
        OSError: there are no filters here, or this process may not have one.
    """
    loaded = _Program(len(program) // 8, program)
    checked(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(loaded), 0, 0))


# Per architecture, as AUDIT_ARCH_* of linux/audit.h: the numbers of socket and socketpair, and of socketcall.
_CALLS = {
    0xC000_003E: (41, 53, None),  # x86-64
    0x4000_0003: (359, 360, 102),  # i386 programs on it
    0xC000_00B7: (198, 199, None),  # ARM64
    0x4000_0028: (281, 288, 102),  # ARM programs on it
    0xC000_00F3: (198, 199, None),  # RISC-V
}
_IO_URING_SETUP = 425  # everywhere; a ring makes sockets behind every filter's back
_LOAD, _AND, _JUMP_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06  # BPF, as linux/bpf_common.h has it
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # offsets in struct seccomp_data; the low half of the argument
_ALLOW, _REFUSE = 0x7FFF_0000, 0x0005_0000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
_NO_FAMILY, _NO_CALL, _NOT_PERMITTED = 97, 38, 1  # EAFNOSUPPORT, ENOSYS, EPERM


def system_call_filter() -> bytes:
    """Return the program, one ``struct sock_filter`` after the other; every path ends in a return."""
    code: list[tuple[int, int, int, int]] = []
    for architecture, (make, pair, multiplexed) in _CALLS.items():
        # Socketcall's first argument tells which call is meant, 1 and 8 are these two; the family is in
        # memory, which no filter can read. On ENOSYS C libraries make the call itself, new in Linux 4.3.
        calls: list[tuple[int, tuple[int, ...], int]] = [
            (make, OUTSIDE, _NO_FAMILY),
            (pair, OUTSIDE, _NO_FAMILY),
        ]
        calls += [] if multiplexed is None else [(multiplexed, (1, 8), _NO_CALL)]
        part = [(_LOAD, 0, 0, _NUMBER)]
        if architecture == 0xC000_003E:
            part.append((_AND, 0, 0, 0xBFFF_FFFF))  # x32's numbers are the same with one bit more
        part += [(_JUMP_EQUAL, 0, 1, _IO_URING_SETUP), (_RETURN, 0, 0, _REFUSE | _NOT_PERMITTED)]
        for number, firsts, error in calls:
            asked = [(_LOAD, 0, 0, _FIRST)]
            asked += [(_JUMP_EQUAL, len(firsts) - at, 0, first) for at, first in enumerate(firsts)]
            asked += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE | error)]
            part += [(_JUMP_EQUAL, 0, len(asked), number), *asked]
        part.append((_RETURN, 0, 0, _ALLOW))
        code += [(_LOAD, 0, 0, _ARCHITECTURE), (_JUMP_EQUAL, 0, len(part), architecture), *part]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *each) for each in code)


def checked(result: int) -> None:
    """Raise what errno says where a call of the C library failed."""
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
    except EnterRefused as error:
        os.write(1, f"{error.stage} {error.errno}\n".encode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
