"""Control groups of this machine, made, filled and removed; and files as version 2 has them."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command import DEADLINE, until
from moorage.plan.brake import Measured
from moorage.plan.control_groups import BOUNDING, SERVICE, WEIGHT, Controller, ParentGroup
from moorage.plan.walls import Share
from moorage.process import control_groups
from moorage.process.control_groups import (
    GroupUse,
    NotOurs,
    folder_of,
    given,
    has_lowered_share,
    lower_share,
    make,
    processor_time,
    remove,
    use,
)

FOUND = asyncio.run(given(Share()))
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has control groups")
bounded = pytest.mark.skipif(bool(FOUND.why), reason=f"no control groups: {FOUND.why}")


@contextmanager
def group(share: Share) -> Iterator[dict[Controller, Path]]:
    """Make groups, and have them removed."""
    name = f"moorage-test-{uuid.uuid4().hex[:12]}"
    make(FOUND.parents, name, share)
    folders = [folder_of(parent, name) for parent in FOUND.parents]
    try:
        yield {each: Path(folder_of(parent, name)) for parent in FOUND.parents for each in parent.controllers}
    finally:
        assert asyncio.run(remove(folders)) == []
        assert not any(Path(folder).exists() for folder in folders)


def inside(folders: dict[Controller, Path], line: str) -> subprocess.Popen[str]:
    """Start a shell that goes into groups, and then does what a line says."""
    joins = "; ".join(f"echo 0 > {folder}/cgroup.procs" for folder in folders.values())
    return subprocess.Popen(
        ["/bin/sh", "-c", f"{joins}; {line}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@bounded
def test_a_trial_leaves_nothing() -> None:
    assert asyncio.run(given(Share())) == FOUND
    assert FOUND.on >= BOUNDING
    assert FOUND.brakes
    for parent in FOUND.parents:
        assert not Path(parent.folder, f"moorage-trial-{os.getpid()}").exists()  # others may be trying now


@bounded
def test_memory_ends_the_one_that_takes_it() -> None:
    with group(Share(memory=64 << 20)) as folders:
        taker = f"{sys.executable} -c \"b'1' * (256 << 20)\"; echo $?"
        assert inside(folders, taker).communicate(timeout=60)[0] == "137\n"


@bounded
def test_processes_are_counted() -> None:
    with group(Share(processes=4)) as folders:
        many = "for n in 1 2 3 4 5 6; do sleep 60 >/dev/null 2>&1 & done 2>/dev/null; echo never"
        process = inside(folders, many)
        said = process.communicate(timeout=60)[0] if process.wait(60) else "never"
        assert "never" not in said
        told = (folders[Controller.PIDS] / "pids.events").read_text()
        assert int(told.split()[1]) > 0
        for pid in (folders[Controller.PIDS] / "cgroup.procs").read_text().split():
            os.kill(int(pid), 9)


@bounded
def test_a_group_in_use_is_removed_once_its_process_has_ended() -> None:
    with group(Share()) as folders:
        process = inside(folders, "echo in; read line")
        assert process.stdout.readline() == "in\n"
        paths = [*map(str, folders.values())]
        assert asyncio.run(remove(paths, patience=0)) == paths
        threading.Timer(0.2, process.stdin.close).start()
        assert asyncio.run(remove(paths)) == []
        process.stdout.close()
        assert process.wait(60) == 1


@bounded
def test_none_is_left_where_one_cannot_be_made(tmp_path: Path) -> None:
    name = f"moorage-test-{uuid.uuid4().hex[:12]}"
    nowhere = ParentGroup(str(tmp_path / "none"), frozenset({Controller.PIDS}))
    with pytest.raises(FileNotFoundError):
        make([*FOUND.parents, nowhere], name, Share())
    assert not any(Path(folder_of(parent, name)).exists() for parent in FOUND.parents)


@bounded
def test_what_is_taken_is_told() -> None:
    with group(Share(memory=64 << 20)) as folders:
        paths = [*map(str, folders.values())]
        assert use(paths) == GroupUse(use(paths).memory, 0, 0)
        taker = f"{sys.executable} -c \"b'1' * (256 << 20)\"; echo $?; read line"
        process = inside(folders, taker)
        assert process.stdout.readline() == "137\n"
        found = use(paths)
        assert 0 < found.memory < 64 << 20
        assert (found.processes, found.kills) == (1, 1)
        process.communicate(timeout=60)
    assert use(paths) == GroupUse()


@pytest.mark.parametrize(
    ("current", "stat", "events"),
    [
        ("memory.current", "anon 5\ninactive_file 300\n", "memory.events"),
        ("memory.usage_in_bytes", "inactive_file 7\ntotal_inactive_file 300\n", "memory.oom_control"),
    ],
)
def test_both_versions_tell_it(tmp_path: Path, current: str, stat: str, events: str) -> None:
    (tmp_path / current).write_text("1000\n")
    (tmp_path / "memory.stat").write_text(stat)
    (tmp_path / events).write_text("low 0\noom 4\noom_kill 2\n")
    (tmp_path / "pids.current").write_text("3\n")
    assert use([str(tmp_path / "none"), str(tmp_path)]) == GroupUse(700, 3, 2)


COUNTS = f"{sys.executable} -c 'import time; e = time.process_time() + 0.2\nwhile time.process_time() < e: 0'"


@bounded
def test_processor_time_is_counted_also_of_what_has_ended() -> None:
    with group(Share()) as folders:
        paths = [*map(str, folders.values())]
        assert processor_time(paths) == Measured(0.0, 0.0)
        process = inside(folders, f"{COUNTS}; echo done; read line")
        assert process.stdout.readline() == "done\n"
        found = processor_time(paths)
        assert found.used >= 0.2
        process.communicate(timeout=60)
        assert processor_time(paths).used >= found.used
    assert processor_time(paths) is None


@bounded
def test_what_waits_for_a_processor_is_counted() -> None:
    with group(Share(cpus=0.1)) as folders:
        paths = [*map(str, folders.values())]
        many = "for n in 1 2 3 4 5 6 7 8; do while :; do :; done & done; echo in; read line; kill 0"
        process = inside(folders, f"exec setsid /bin/sh -c '{many}'")
        assert process.stdout.readline() == "in\n"
        assert until(lambda: processor_time(paths).waited > 1.0, DEADLINE)
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("file", "text", "threads"),
    [
        ("cpuacct.usage", "2500000000\n", "tasks"),
        ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n", "cgroup.threads"),
    ],
)
@linux
def test_both_versions_count_it(tmp_path: Path, file: str, text: str, threads: str) -> None:
    (tmp_path / file).write_text(text)
    (tmp_path / threads).write_text(f"{os.getpid()}\n{2**30}\n")  # the second one has ended
    found = processor_time([str(tmp_path / "none"), str(tmp_path)])
    assert found.used == 2.5
    assert found.waited > 0


def test_version_1_counts_in_a_tree_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n")
    assert processor_time([str(tmp_path)]) is None


@bounded
def test_a_share_is_lowered_and_raised() -> None:
    with group(Share()) as folders:
        paths = [*map(str, folders.values())]
        assert not has_lowered_share(paths)
        lower_share(paths, lowered=True)
        assert has_lowered_share(paths)
        lower_share(paths, lowered=False)
        assert not has_lowered_share(paths)


@pytest.mark.parametrize(("file", "full", "lowered"), [("cpu.weight", 100, 10), ("cpu.shares", 1024, 102)])
def test_shares_of_both_versions(tmp_path: Path, file: str, full: int, lowered: int) -> None:
    paths = [str(tmp_path / "none"), str(tmp_path)]
    (tmp_path / file).write_text(f"{full}\n")
    for wanted in (True, False):
        lower_share(paths, lowered=wanted)
        assert (tmp_path / file).read_text().split() == [str(lowered if wanted else full)]
        assert has_lowered_share(paths) is wanted


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    full = str(tmp_path / "full")
    assert asyncio.run(remove([str(tmp_path / "gone"), full], patience=0)) == [full]


def proc(tmp_path: Path, groups: str, mounts: str) -> Path:
    (tmp_path / "cgroup").write_text(groups)
    (tmp_path / "mountinfo").write_text(mounts)
    return tmp_path


@bounded
def test_less_than_is_asked_for_is_none() -> None:
    found = asyncio.run(given(Share(cpus=1e9)))
    assert found.on & BOUNDING == {Controller.MEMORY, Controller.PIDS}
    assert found.why.endswith("Invalid argument")
    assert found.do.startswith("Ask for less")


@linux
def test_why_there_are_none(tmp_path: Path) -> None:
    assert asyncio.run(given(Share(), tmp_path / "none")).why.startswith("The system tells of none")
    assert asyncio.run(given(Share(), proc(tmp_path, "0::/\n", ""))).why == "The system has none mounted"
    away = f"1 2 0:3 / {tmp_path}/away rw - cgroup cgroup rw,memory\n"
    found = asyncio.run(given(Share(), proc(tmp_path, "1:memory:/\n", away)))
    assert found.why == f"None can be made in {tmp_path}/away: No such file or directory"
    assert found.do == "Run it as root"
    version_2 = f"1 2 0:3 / {tmp_path}/new rw - cgroup2 cgroup2 rw\n"
    new = asyncio.run(given(Share(), proc(tmp_path, "0::/\n", version_2)))
    assert "--scope -p Delegate=yes" in new.do


def unified(folder: Path, **texts: str) -> ParentGroup:
    """Make files as a group of version 2 has them."""
    texts = {"controllers": "cpu io memory pids", "subtree_control": "", "procs": f"{os.getpid()}\n"} | texts
    for name, text in texts.items():
        (folder / f"cgroup.{name}").write_text(text)
    (folder / SERVICE).mkdir()
    for name in ("cgroup.procs", "cpu.weight"):
        (folder / SERVICE / name).touch()
    return ParentGroup(str(folder), BOUNDING, True, str(folder))


@linux
def test_version_2_has_a_group_for_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_groups, "_delegated", lambda _: True)
    parent = unified(tmp_path, subtree_control="memory\n")
    assert control_groups._opened(parent) == parent
    assert (tmp_path / SERVICE / "cgroup.procs").read_text() == "0"
    assert (tmp_path / SERVICE / "cpu.weight").read_text() == str(WEIGHT)
    assert (tmp_path / "cgroup.subtree_control").read_text().startswith("+cpu +pids")


@linux
def test_version_2_bounds_by_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_groups, "_delegated", lambda _: True)
    parent = unified(tmp_path, controllers="memory pids\n")
    assert control_groups._opened(parent).controllers == {Controller.MEMORY, Controller.PIDS}
    monkeypatch.setattr(control_groups, "_tried", lambda parent, *_: parent)
    found = control_groups._given([parent], "moorage-trial", Share())
    assert found.on == {Controller.MEMORY, Controller.PIDS}
    assert found.why == f"{tmp_path} was not given cpu"
    assert "Delegate=yes" in found.do
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    with pytest.raises(OSError, match="no controllers"):
        control_groups._opened(parent)


@linux
def test_a_group_with_others_in_it_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_groups, "_delegated", lambda _: True)
    parent = unified(tmp_path, procs=f"1\n{os.getpid()}\n")
    with pytest.raises(NotOurs, match="Other processes") as refused:
        control_groups._opened(parent)
    assert refused.value.errno == errno.EBUSY
    assert (tmp_path / SERVICE / "cgroup.procs").read_text() == ""
    assert (tmp_path / "cgroup.subtree_control").read_text() == ""


@linux
def test_what_systemd_has_not_given_away_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's group is its own where it may write there")
    monkeypatch.setattr(control_groups, "_PROC", proc(tmp_path, "0::/system.slice/x.service\n", ""))
    with pytest.raises(NotOurs, match="the system's"):
        control_groups._opened(unified(tmp_path))
