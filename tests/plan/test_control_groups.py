"""Where control groups can be made, what is written into them, and what is said of them."""

from __future__ import annotations

import pytest

from moorage.plan.control_groups import (
    BOUNDING,
    SERVICE,
    Controller,
    GroupsGiven,
    ParentGroup,
    Setting,
    group_of,
    ours,
    parents,
    settings,
)
from moorage.plan.visits import ServerId
from moorage.plan.walls import Share

MEMORY, CPU, PIDS, TIME = Controller
SERVER = ServerId("0123456789abcdef")

OLD = """\
25 20 0:21 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:22 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
27 25 0:23 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:24 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
29 25 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
NEW = "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def parent(folder: str, *controllers: Controller) -> ParentGroup:
    return ParentGroup(folder, frozenset(controllers))


def unified(folder: str, own: str = "") -> ParentGroup:
    return ParentGroup(folder, BOUNDING, True, own or folder)


@pytest.mark.parametrize(
    ("groups", "mounts", "found"),
    [
        (
            "4:memory:/a\n3:pids:/\n2:cpu,cpuacct:/b/c\n1:name=systemd:/\n0::/\n",
            OLD,
            [
                parent("/sys/fs/cgroup/memory/a", MEMORY),
                parent("/sys/fs/cgroup/pids", PIDS),
                parent("/sys/fs/cgroup/cpu,cpuacct/b/c", CPU, TIME),
            ],
        ),
        ("4:memory:/\n", OLD, [parent("/sys/fs/cgroup/memory", MEMORY)]),
        ("0::/user.slice/x.scope\n", NEW, [unified("/sys/fs/cgroup/user.slice/x.scope")]),
        ("0::/\n", NEW, [unified("/sys/fs/cgroup")]),
        (f"0::/a/{SERVICE}\n", NEW, [unified("/sys/fs/cgroup/a", f"/sys/fs/cgroup/a/{SERVICE}")]),
        ("0::/../a\n", NEW, []),
        ("0::/\n", "", []),
        ("", NEW, []),
        (  # in a container: what is mounted is its own group, and spaces are written as numbers
            "3:memory:/docker/1\n",
            "30 20 0:26 /docker/1 /sys/a\\040b rw - cgroup cgroup rw,memory\n",
            [parent("/sys/a b", MEMORY)],
        ),
        ("3:memory:/docker/10\n", "30 20 0:26 /docker/1 /sys/m rw - cgroup cgroup rw,memory\n", []),
    ],
)
def test_places(groups: str, mounts: str, found: list[ParentGroup]) -> None:
    assert [*parents(groups, mounts)] == found


def test_version_2_has_what_version_1_leaves() -> None:
    both = parents("4:memory:/\n0::/x\n", OLD)
    assert both[1] == ParentGroup(
        "/sys/fs/cgroup/unified/x", frozenset({CPU, PIDS}), True, "/sys/fs/cgroup/unified/x"
    )


ASKED = Share(memory=1 << 30, cpus=1.5, processes=100)


@pytest.mark.parametrize(
    ("there", "share", "written"),
    [
        (
            unified("/g"),
            ASKED,
            [
                Setting("memory.max", "1073741824"),
                Setting("memory.swap.max", "0", needed=False),
                Setting("pids.max", "100"),
                Setting("cpu.max", "150000 100000"),
            ],
        ),
        (unified("/g"), Share(), [Setting("pids.max", "512")]),
        (
            parent("/m", MEMORY),
            ASKED,
            [
                Setting("memory.limit_in_bytes", "1073741824"),
                Setting("memory.memsw.limit_in_bytes", "1073741824", needed=False),
            ],
        ),
        (parent("/m", MEMORY), Share(), []),
        (parent("/p", PIDS), ASKED, [Setting("pids.max", "100")]),
        (
            parent("/c", CPU),
            ASKED,
            [Setting("cpu.cfs_period_us", "100000"), Setting("cpu.cfs_quota_us", "150000")],
        ),
        (parent("/c", CPU), Share(), []),
    ],
)
def test_what_is_written(there: ParentGroup, share: Share, written: list[Setting]) -> None:
    assert settings(there, share) == written


def test_only_groups_of_the_very_server_are_its_own() -> None:
    assert group_of(SERVER) == f"moorage-{SERVER}"
    mine = f"/sys/fs/cgroup/memory/{group_of(SERVER)}"
    assert ours([mine, "/sys/fs/cgroup/memory", f"{mine}/x", "/sys/moorage-1", f"{mine}1"], SERVER) == [mine]


EVERYTHING = GroupsGiven((unified("/g"),))
CPU_ALONE = GroupsGiven((parent("/c", CPU),), "None can be made in /m: Permission denied", "Run it as root")


def test_what_cannot_be_kept() -> None:
    assert EVERYTHING.lacks(ASKED) == ""
    assert GroupsGiven().lacks(Share()) == ""
    assert GroupsGiven().lacks(Share(cpus=1)) == "--cpus"
    assert CPU_ALONE.lacks(ASKED) == "--memory"
    assert CPU_ALONE.lacks(Share(cpus=1)) == ""


def test_the_start_says_what_bounds_a_visitor_and_what_does_not() -> None:
    assert EVERYTHING.told(ASKED) == [
        (
            "Control groups: each has 1024 MiB of memory, its files among it; "
            "a fair share of the processors, 1.5 of them at most"
        ),
    ]
    assert EVERYTHING.told(Share()) == [
        "Control groups: each has a fair share of the processors",
        "The memory of a visitor is not bounded: --memory would",
    ]
    assert CPU_ALONE.told(Share()) == [
        "Control groups: each has a fair share of the processors",
        (
            "No control groups bound the memory of a visitor and its processes: "
            "none can be made in /m: Permission denied. Run it as root"
        ),
    ]
    assert GroupsGiven(why="Only Linux has them").told(Share()) == [
        (
            "No control groups bound the memory of a visitor, its processor time and its processes: "
            "only Linux has them"
        ),
    ]


TIME_APART = GroupsGiven((parent("/c", CPU), parent("/a", TIME)))


@pytest.mark.parametrize(
    ("found", "brakes"),
    [(EVERYTHING, True), (TIME_APART, True), (CPU_ALONE, False), (GroupsGiven(), False)],
)
def test_a_brake_needs_a_share_and_a_count(found: GroupsGiven, brakes: bool) -> None:
    assert found.brakes is brakes


def test_the_start_says_whether_there_is_a_brake() -> None:
    assert EVERYTHING.brake_told(0, "0 s") == CPU_ALONE.brake_told(0, "0 s") == ""
    assert EVERYTHING.brake_told(1200, "20 min") == (
        "The share of a server that computes for 20 min without its visitor is lowered to a tenth"
    )
    assert CPU_ALONE.brake_told(1200, "20 min") == (
        "The share of a server that computes without its visitor is not lowered: "
        "none can be made in /m: Permission denied. Run it as root"
    )
    assert (
        GroupsGiven((parent("/c", CPU),))
        .brake_told(1200, "20 min")
        .endswith("not lowered: the system does not count the processors' time of groups")
    )
