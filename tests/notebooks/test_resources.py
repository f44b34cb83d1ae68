from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.notebooks.resources import available_memory, notebooks_at_once, thread_environment, usable_cores

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


def test_threads_are_shared_and_the_users_own_settings_stay():
    assert thread_environment(2, 8, environ={})["OMP_NUM_THREADS"] == "4"
    assert set(thread_environment(16, 8, environ={}).values()) == {"1"}
    kept = thread_environment(1, 8, environ={"OMP_NUM_THREADS": "3"})
    assert "OMP_NUM_THREADS" not in kept
    assert kept["OPENBLAS_NUM_THREADS"] == "8"


@pytest.fixture
def limited():
    """Returns a function that limits how many files this process may open."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda files: resource.setrlimit(resource.RLIMIT_NOFILE, (files, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_on_open_files_is_raised_where_it_may_be(limited):
    import resource

    limited(256)
    assert notebooks_at_once(100) == 100
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1700
    assert notebooks_at_once(100) == 100
    limited(1024)
    notebooks_at_once(2)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1024


@pytest.mark.parametrize(
    ("most", "says"), [(40, "no kernel can run here"), (64, "1"), (128, "2"), (1024, "9")]
)
def test_where_it_may_not_fewer_run_at_once(most, says):
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))\n"
        "from moorage.notebooks.resources import notebooks_at_once\n"
        "print(notebooks_at_once(9))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert says in (done.stdout or done.stderr)
