from __future__ import annotations

import os
from pathlib import Path

import pytest

from moorage.process.machine import available_memory, usable_cores

GIB = 2**30
ALL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture
def machine(tmp_path):
    """Returns a function that lays out a procfs and a sysfs from {path: content}."""

    def lay(files: dict[str, str]) -> dict[str, Path]:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content + "\n")
        return {"proc": tmp_path / "proc", "sys": tmp_path / "sys"}

    return lay


def test_this_machine():
    assert 1 <= usable_cores() <= ALL
    memory = available_memory()
    assert memory is None or memory > 0


def test_nothing_known(machine):
    assert usable_cores(**machine({})) == ALL
    assert available_memory(**machine({})) is None


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [
        ("50000 100000", "max 100000", 1),
        ("max 100000", "100000 100000", 1),
        ("1000 100000", "max 100000", 1),
        ("max 100000", "max 100000", ALL),
        ("99900000 100000", "max", ALL),
    ],
)
def test_cores_in_version_2(machine, own, above, cores):
    roots = machine(
        {
            "proc/self/cgroup": "0::/ci/job",
            "sys/fs/cgroup/cgroup.controllers": "cpu memory",
            "sys/fs/cgroup/ci/cpu.max": above,
            "sys/fs/cgroup/ci/job/cpu.max": own,
        }
    )
    assert usable_cores(**roots) == cores


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("path", ["/docker/abc", "/"])
def test_cores_in_version_1_also_where_the_container_does_not_see_its_path(machine, mount, path):
    roots = machine(
        {
            "proc/self/cgroup": f"4:{mount}:{path}\n3:memory:/elsewhere",
            f"sys/fs/cgroup/{mount}/cpu.cfs_quota_us": "100000",
            f"sys/fs/cgroup/{mount}/cpu.cfs_period_us": "100000",
        }
    )
    assert usable_cores(**roots) == 1
    (roots["sys"] / f"fs/cgroup/{mount}/cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cores(**roots) == ALL


def test_affinity_counts():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity here")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_memory_of_the_machine_and_of_a_version_2_group(machine):
    files = {
        "proc/meminfo": f"MemTotal: {9 * GIB // 1024} kB\nMemAvailable: {8 * GIB // 1024} kB",
        "proc/self/cgroup": "0::/a/b",
        "sys/fs/cgroup/cgroup.controllers": "memory",
        "sys/fs/cgroup/a/memory.max": "max",
        "sys/fs/cgroup/a/memory.current": str(GIB),
    }
    assert available_memory(**machine(files)) == 8 * GIB
    files |= {
        "sys/fs/cgroup/a/b/memory.max": str(4 * GIB),
        "sys/fs/cgroup/a/b/memory.current": str(3 * GIB),
        "sys/fs/cgroup/a/b/memory.stat": f"anon {GIB}\ninactive_file {GIB}",
    }
    assert available_memory(**machine(files)) == 2 * GIB


def test_memory_of_a_version_1_group_beside_an_empty_version_2(machine):
    files = {
        "proc/meminfo": f"MemAvailable: {8 * GIB // 1024} kB",
        "proc/self/cgroup": "4:memory:/job\n0::/",
        "sys/fs/cgroup/unified/cgroup.procs": "",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(GIB),
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": str(2 * GIB),
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": str(3 * GIB),
        "sys/fs/cgroup/memory/job/memory.stat": "total_inactive_file 5",
    }
    assert available_memory(**machine(files)) == 0
