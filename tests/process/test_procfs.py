"""The process table, memory and oom counters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from moorage.process import procfs


def row(pid, ppid, session=0, *, flags=0, threads=1):
    stat = f"{pid} (a ) (b) S {ppid} 0 {session} 0 0 {flags} " + " ".join("0" * 10) + f" {threads} 0 777 0"
    return procfs.Process(pid, stat.encode())


def test_a_command_with_parentheses_and_blanks_is_read_rightly():
    one = row(7, 3, 5)
    assert (one.pid, one.ppid, one.session, one.start, one.dead) == (7, 3, 5, 777, False)


def test_descendants_are_sorted_by_the_child_they_descend_from():
    table = {
        pid: row(pid, ppid)
        for pid, ppid in [(1, 0), (10, 1), (20, 10), (21, 10), (30, 20), (31, 30), (40, 21), (50, 1)]
    }
    assert procfs.roots(table, 10) == {20: 20, 30: 20, 31: 20, 21: 21, 40: 21}
    assert set(procfs.roots(table, 1)) == {10, 20, 21, 30, 31, 40, 50}


def test_a_torn_table_with_a_circle_ends():
    table = {pid: row(pid, ppid) for pid, ppid in [(1, 0), (10, 11), (11, 10), (12, 11)]}
    assert procfs.roots(table, 1) == {}


def test_a_signal_goes_to_exactly_this_process():
    child = subprocess.Popen(["sleep", "3600"])
    seen = procfs.look(child.pid)
    stranger = procfs.look(child.pid)
    stranger.start += 1  # the pid was given to another since
    assert procfs.send(stranger, signal.SIGKILL)
    assert child.poll() is None
    assert procfs.send(seen, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert procfs.send(seen, signal.SIGKILL)


def test_a_zombie_is_dead_and_a_gone_process_is_nothing():
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert procfs.look(child.pid).dead
    child.wait()
    assert procfs.look(child.pid) is None


def test_a_process_is_ending_when_its_last_thread_is():
    assert not row(7, 3).ending
    assert row(7, 3, flags=0x400004).ending
    assert not row(7, 3, flags=0x400004, threads=2).ending
    assert not procfs.look(os.getpid()).ending


def test_a_process_whose_first_thread_has_ended_still_has_its_environment():
    code = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(1000,)).start();"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], env={"MOORAGE_LAUNCH": "mr-one.1"})
    deadline = time.monotonic() + 30
    while b") Z " not in procfs.read(f"/proc/{child.pid}/stat"):
        assert time.monotonic() < deadline
    seen = procfs.look(child.pid)
    assert (seen.dead, seen.ending, procfs.marker(child.pid)) == (False, False, "mr-one.1")
    child.kill()
    child.wait()
    assert procfs.marker(child.pid) == ""


def test_the_marker_is_read_from_the_environment():
    child = subprocess.Popen(
        ["sleep", "3600"], env={"MOORAGE_LAUNCH": "mr-outer.1/mr-inner.2", "PATH": os.environ["PATH"]}
    )
    deadline = time.monotonic() + 10
    while procfs.marker(child.pid) != "mr-outer.1/mr-inner.2":  # exec is not done yet
        assert time.monotonic() < deadline
    assert procfs.marker(os.getppid()) != "mr-outer.1/mr-inner.2"
    procfs.kill_marked(["mr-inner"])
    assert child.wait() == -signal.SIGKILL


def test_resident_memory_of_oneself_and_of_nobody():
    assert procfs.resident(os.getpid()) > 5_000_000
    assert procfs.resident(1 << 30) is None


@pytest.mark.parametrize(
    ("groups", "mount", "file"),
    [
        ("0::/user.slice/a", "30 1 0:2 / {base} rw - cgroup2 cgroup2 rw", "user.slice/a/memory.events"),
        (
            "4:memory:/docker/x/a\n0::/",
            "30 1 0:2 /docker/x {base} rw - cgroup cgroup rw,memory",
            "a/memory.oom_control",
        ),
        ("4:cpu,memory:/", "30 1 0:2 / {base} rw - cgroup cgroup rw,cpu,memory", "memory.oom_control"),
        ("4:memory:/elsewhere", "30 1 0:2 /docker/x {base} rw - cgroup cgroup rw,memory", None),
        ("4:cpu:/a", "30 1 0:2 / {base} rw - cgroup cgroup rw,cpu", None),
    ],
)
def test_the_counter_is_found_in_both_versions_of_control_groups(monkeypatch, tmp_path, groups, mount, file):
    if file is not None:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("low 0\noom 9\noom_kill_disable 0\noom_kill 3\n")
    told = {"/proc/7/cgroup": groups, "/proc/self/mountinfo": mount.format(base=tmp_path)}
    real = procfs.read
    monkeypatch.setattr(
        procfs, "read", lambda path, *rest: told[path].encode() if path in told else real(path)
    )
    path = procfs.oom_file(7)
    assert path == (None if file is None else str(tmp_path / file))
    assert procfs.oom_kills(path) == (0 if file is None else 3)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_counter_that_cannot_be_read_counts_nothing():
    assert procfs.oom_kills(None) == 0
    assert procfs.oom_kills("/no/such/file") == 0


def test_proportional_memory_counts_what_a_process_has_started():
    held = "import sys; x = bytearray(50_000_000); print(1, flush=True); sys.stdin.read()"
    line = [sys.executable, "-c", held]
    before = procfs.proportional(os.getpid())
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert 50_000_000 < procfs.proportional(child.pid) <= procfs.resident(child.pid)
        assert procfs.proportional(os.getpid()) > before + 40_000_000
        child.communicate()
    assert procfs.proportional(1 << 30) is None
