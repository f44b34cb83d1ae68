"""The filter for system calls: run as a program for each architecture, and in the kernel for this one."""

from __future__ import annotations

import errno
import platform
import struct
import sys

import pytest

from moorage.process.walls.probe import given
from moorage.process.walls.system_calls import FAMILIES, MACHINES, wall_filter
from process.walls.behind import private_folder, told, walls_here

X86_64, AARCH64 = 0xC000_003E, 0xC000_00B7
ALLOW = 0x7FFF_0000


def decided(program: bytes, architecture: int, number: int, first: int = 0) -> int:
    """Return what a filter answers: 0 for a call that passes, else its errno."""
    code = [struct.unpack_from("HBBI", program, at) for at in range(0, len(program), 8)]
    data = {0: number, 4: architecture, 16: first & 0xFFFF_FFFF}
    at, held = 0, 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        match operation:
            case 0x20:
                held = data[value]
            case 0x15:
                at += yes if held == value else no
            case 0x35:
                at += yes if held >= value else no
            case 0x45:
                at += yes if held & value else no
            case 0x06:
                return 0 if value == ALLOW else value & 0xFFFF
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_refused_and_what_is_not(machine: str) -> None:
    architecture, refused, shaped = MACHINES[machine]
    program = wall_filter(machine)
    assert len(program) // 8 < 4096  # BPF_MAXINSNS
    for name, number in refused.items():
        assert decided(program, architecture, number) == errno.EPERM, name
    assert decided(program, architecture, shaped["clone3"]) == errno.ENOSYS
    for name in ("clone", "unshare"):
        assert decided(program, architecture, shaped[name], 17) == 0  # SIGCHLD
        for bit in (0x2_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x80):
            assert decided(program, architecture, shaped[name], bit | 17) == errno.EPERM
    for name in ("socket", "socketpair"):
        families = [
            family for family in range(50) if decided(program, architecture, shaped[name], family) == 0
        ]
        assert families == [*FAMILIES]
        assert decided(program, architecture, shaped[name], 40) == errno.EAFNOSUPPORT
    known = {*refused.values(), *shaped.values()}
    assert all(decided(program, architecture, number) == 0 for number in range(470) if number not in known)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_program_of_another_architecture_has_no_calls(machine: str) -> None:
    architecture, _, _ = MACHINES[machine]
    program = wall_filter(machine)
    for other in (0x4000_0003, 0x4000_0028, X86_64, AARCH64, 0):
        if other != architecture:
            assert {decided(program, other, number) for number in range(500)} == {errno.ENOSYS}
    if machine == "x86_64":  # x32
        assert decided(program, architecture, 0x4000_0000 | 165) == errno.ENOSYS
        assert decided(program, architecture, 0xFFFF_FFFF) == errno.ENOSYS


def test_all_architectures_refuse_the_same() -> None:
    old = {"iopl", "ioperm", "uselib", "ustat", "sysfs", "_sysctl", "modify_ldt", "create_module"}
    old |= {"get_kernel_syms", "query_module"}  # x86 alone has these
    names = [frozenset(refused) - old for _, refused, _ in MACHINES.values()]
    assert set(names) == {names[0]}


@pytest.mark.skipif(sys.platform != "linux" or bool(given().why), reason=f"no walls here: {given().why}")
@pytest.mark.skipif(platform.machine() not in MACHINES, reason="no filter for this machine")
def test_the_kernel_takes_it() -> None:
    _, refused, shaped = MACHINES[platform.machine()]
    numbers = {**{n: refused[n] for n in ("mount", "setns", "bpf", "keyctl", "userfaultfd")}, **shaped}
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def tried(number, *words):
    return 0 if libc.syscall(number, *words) >= 0 else ctypes.get_errno()
numbers = {numbers}
names = ("mount", "setns", "bpf", "keyctl", "userfaultfd")
found = {{name: tried(numbers[name], 0, 0, 0, 0, 0) for name in names}}
found["clone"] = tried(numbers["clone"], 0x1000_0000 | 17, 0, 0, 0, 0)
found["clone3"] = tried(numbers["clone3"], 0, 0)
found["unshare"] = tried(numbers["unshare"], 0x1000_0000)
found["unshare_files"] = tried(numbers["unshare"], 0x400)
found["vsock"] = tried(numbers["socket"], 40, 1, 0)
found["alg"] = tried(numbers["socket"], 38, 5, 0)
found["unix"] = tried(numbers["socket"], 1, 1, 0)
print(json.dumps(found))
"""
    with private_folder() as private:
        found = told(walls_here(private), code)
    refusals = dict.fromkeys(
        ("mount", "setns", "bpf", "keyctl", "userfaultfd", "clone", "unshare"), errno.EPERM
    )
    passed = {"clone3": errno.ENOSYS, "unshare_files": 0, "unix": 0}
    assert found == {**refusals, **passed, "vsock": errno.EAFNOSUPPORT, "alg": errno.EAFNOSUPPORT}
