"""A filter for system calls that no notebook needs and that lead, or once led, out of namespaces.

Names of other mounts and namespaces, of keys, of kernel memory, of the machine's clock and power. A program
of another architecture (32-bit programs, x32) gets ENOSYS for all: its numbers mean other calls.

Loaded by keepers by its path, without the package: standard library only, from Python 3.9 on. Source:
seccomp(2), linux/audit.h, the tables of system calls in arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""BPF, as linux/bpf_common.h has it: load a word, jump if equal, not below, any bit set."""
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # offsets in struct seccomp_data; the low half of the argument
_ALLOW, _REFUSE = 0x7FFF_0000, 0x0005_0000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
_NOT_PERMITTED, _NO_CALL, _NO_FAMILY = 1, 38, 97  # EPERM, ENOSYS, EAFNOSUPPORT
_X32 = 0x4000_0000

NAMESPACES = 0x7E02_0080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME: not for unshare and clone."""
FAMILIES = (1, 2, 10, 16)
"""Unix, IPv4, IPv6, netlink: sockets of all other families are refused."""

_SAME = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
}
"""Numbers that all architectures have in common."""
_X86_64 = {
    "mount": 165,
    "umount2": 166,
    "pivot_root": 155,
    "chroot": 161,
    "setns": 308,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "sethostname": 170,
    "setdomainname": 171,
    "iopl": 172,
    "ioperm": 173,
    "init_module": 175,
    "delete_module": 176,
    "finit_module": 313,
    "kexec_load": 246,
    "kexec_file_load": 320,
    "acct": 163,
    "settimeofday": 164,
    "clock_settime": 227,
    "adjtimex": 159,
    "clock_adjtime": 305,
    "quotactl": 179,
    "lookup_dcookie": 212,
    "vhangup": 153,
    "syslog": 103,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "name_to_handle_at": 303,
    "open_by_handle_at": 304,
    "bpf": 321,
    "userfaultfd": 323,
    "uselib": 134,
    "ustat": 136,
    "sysfs": 139,
    "_sysctl": 156,
    "create_module": 174,
    "get_kernel_syms": 177,
    "query_module": 178,
    "nfsservctl": 180,
    "modify_ldt": 154,
    "move_pages": 279,
    "migrate_pages": 256,
    "process_madvise": 440,
}
_GENERIC = {
    "mount": 40,
    "umount2": 39,
    "pivot_root": 41,
    "chroot": 51,
    "setns": 268,
    "swapon": 224,
    "swapoff": 225,
    "reboot": 142,
    "sethostname": 161,
    "setdomainname": 162,
    "init_module": 105,
    "delete_module": 106,
    "finit_module": 273,
    "kexec_load": 104,
    "kexec_file_load": 294,
    "acct": 89,
    "settimeofday": 170,
    "clock_settime": 112,
    "adjtimex": 171,
    "clock_adjtime": 266,
    "quotactl": 60,
    "lookup_dcookie": 18,
    "vhangup": 58,
    "syslog": 116,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "perf_event_open": 241,
    "fanotify_init": 262,
    "name_to_handle_at": 264,
    "open_by_handle_at": 265,
    "bpf": 280,
    "userfaultfd": 282,
    "nfsservctl": 42,
    "move_pages": 239,
    "migrate_pages": 238,
    "process_madvise": 440,
}
_X86_64_SHAPED = {"clone": 56, "clone3": 435, "unshare": 272, "socket": 41, "socketpair": 53}
_GENERIC_SHAPED = {"clone": 220, "clone3": 435, "unshare": 97, "socket": 198, "socketpair": 199}
"""Calls of which the filter looks at the first argument, or which it says not to have."""

MACHINES: Mapping[str, tuple[int, Mapping[str, int], Mapping[str, int]]] = {
    "x86_64": (0xC000_003E, {**_X86_64, **_SAME}, _X86_64_SHAPED),
    "aarch64": (0xC000_00B7, {**_GENERIC, **_SAME}, _GENERIC_SHAPED),
    "riscv64": (0xC000_00F3, {**_GENERIC, **_SAME}, _GENERIC_SHAPED),
}
"""By the name that uname(2) gives: AUDIT_ARCH_* of linux/audit.h, what is refused, what is looked at."""


def wall_filter(machine: str) -> bytes:
    """Return the filter's program, one ``struct sock_filter`` after the other; every path ends in a return.

    Args:
        machine: one of :data:`MACHINES`.
    """
    architecture, refused, shaped = MACHINES[machine]
    code = [(_LOAD, 0, 0, _ARCHITECTURE), (_JUMP_EQUAL, 1, 0, architecture), _answer(_NO_CALL)]
    code.append((_LOAD, 0, 0, _NUMBER))
    if machine == "x86_64":
        code += [(_JUMP_GREATER, 0, 1, _X32), _answer(_NO_CALL)]
    for number in sorted(refused.values()):
        code += [(_JUMP_EQUAL, 0, 1, number), _answer(_NOT_PERMITTED)]
    # Its flags are in memory, which no filter reads. C libraries take clone where there is no clone3.
    code += [(_JUMP_EQUAL, 0, 1, shaped["clone3"]), _answer(_NO_CALL)]
    for name in ("clone", "unshare"):
        tested = [(_LOAD, 0, 0, _FIRST), (_JUMP_SET, 0, 1, NAMESPACES)]
        code += _when(shaped[name], [*tested, _answer(_NOT_PERMITTED), (_RETURN, 0, 0, _ALLOW)])
    for name in ("socket", "socketpair"):
        tested = [(_LOAD, 0, 0, _FIRST)]
        tested += [(_JUMP_EQUAL, len(FAMILIES) - at, 0, family) for at, family in enumerate(FAMILIES)]
        code += _when(shaped[name], [*tested, _answer(_NO_FAMILY), (_RETURN, 0, 0, _ALLOW)])
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *each) for each in code)


def _answer(number: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, _REFUSE | number)


def _when(number: int, then: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    return [(_JUMP_EQUAL, 0, len(then), number), *then]
