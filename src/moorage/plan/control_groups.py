"""Control groups for visitors' servers: where they can be made, what bounds a server in them, in words.

Both versions: in version 2 one group has all controllers, in version 1 each has a tree of its own. Sources:
https://docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/, proc_pid_mountinfo(5),
https://systemd.io/CGROUP_DELEGATION/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from moorage.plan.visits import ServerId
from moorage.plan.walls import Share


class Controller(StrEnum):
    """What a group bounds, or counts, as the system names it."""

    MEMORY = "memory"
    CPU = "cpu"
    PIDS = "pids"
    TIME = "cpuacct"
    """Version 1: counts processors' time; often of one tree with ``cpu``. In version 2 each group does."""


SERVICE = "moorage-service"
"""Version 2: the group of the service itself, for a group whose groups are bounded has no processes."""
BOUNDING = frozenset({Controller.MEMORY, Controller.CPU, Controller.PIDS})
"""What bounds, and has to be there for all limits."""
WEIGHTS = {"cpu.weight": (100, 10), "cpu.shares": (1024, 102)}
"""Files of a group's weight among those beside it, of version 2 and 1: with the whole share, and lowered."""
WEIGHT = 10_000
"""Version 2: the processors' weight of the service, which works for all; each visitor has 100."""
PERIOD = 100_000
"""Microseconds in which a server may have its processors."""
_PREFIX = "moorage-"
_BOUNDED = {
    Controller.MEMORY: "the memory of a visitor",
    Controller.CPU: "its processor time",
    Controller.PIDS: "its processes",
}
_SWAP = ("memory.swap.max", "memory.memsw.limit_in_bytes")
"""Files that are there where the system counts swap alone."""


@dataclass(frozen=True)
class ParentGroup:
    """A group in which others can be made.

    Args:
        folder: where it is.
        controllers: that bound what is in its groups.
        unified: whether it is of version 2.
        own: where the group of this process is; empty for ``folder``.
    """

    folder: str
    controllers: frozenset[Controller]
    unified: bool = False
    own: str = ""


@dataclass(frozen=True)
class GroupsGiven:
    """What a machine gives.

    Args:
        parents: where groups can be made.
        why: why there are none for some controllers, in a sentence; empty where there are for all.
        do: what to do about that.
    """

    parents: tuple[ParentGroup, ...] = ()
    why: str = ""
    do: str = ""

    @property
    def on(self) -> frozenset[Controller]:
        """What can be bounded, and counted."""
        return frozenset[Controller]().union(*(parent.controllers for parent in self.parents))

    @property
    def brakes(self) -> bool:
        """Whether a group's processors' time is counted, and its share can be lowered."""
        counted = any(each.unified and Controller.CPU in each.controllers for each in self.parents)
        return Controller.CPU in self.on and (counted or Controller.TIME in self.on)

    def brake_told(self, after: float, words: str) -> str:
        """Return what the start says of the brake; empty where none is asked for.

        Args:
            after: seconds of full load without a visitor after which a share is lowered; 0 for never.
            words: the same.
        """
        if not after:
            return ""
        server = "The share of a server that computes"
        if self.brakes:
            return f"{server} for {words} without its visitor is lowered to a tenth"
        why = self.why or "The system does not count the processors' time of groups"
        why = f"{why[:1].lower()}{why[1:]}. {self.do}".removesuffix(". ")
        return f"{server} without its visitor is not lowered: {why}"

    def lacks(self, share: Share) -> str:
        """Return the option that cannot be kept; empty where all can."""
        if share.memory and Controller.MEMORY not in self.on:
            return "--memory"
        return "--cpus" if share.cpus and Controller.CPU not in self.on else ""

    def told(self, share: Share) -> list[str]:
        """Return what the start says: what bounds a visitor, and what does not."""
        has = []
        if share.memory and Controller.MEMORY in self.on:
            has.append(f"{share.memory >> 20} MiB of memory, its files among it")
        if Controller.CPU in self.on:
            cap = f", {share.cpus:g} of them at most" if share.cpus else ""
            has.append(f"a fair share of the processors{cap}")
        lines = [f"Control groups: each has {'; '.join(has)}"] if has else []
        if missing := [text for each, text in _BOUNDED.items() if each not in self.on]:
            why = f"{self.why[:1].lower()}{self.why[1:]}. {self.do}".removesuffix(". ")
            lines.append(f"No control groups bound {_listed(missing)}: {why}")
        elif not share.memory:
            lines.append("The memory of a visitor is not bounded: --memory would")
        return lines


@dataclass(frozen=True)
class Setting:
    """A text for a file of a group; ``needed``: whether the system has to have that file."""

    file: str
    text: str
    needed: bool = True


def parents(groups: str, mounts: str) -> tuple[ParentGroup, ...]:
    """Return where the groups of a process are, with the controllers that might be there.

    Args:
        groups: its /proc/PID/cgroup.
        mounts: its /proc/PID/mountinfo.
    """
    found: dict[str, set[Controller]] = {}
    left, unified = {*BOUNDING}, ""
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            unified = _folder(mounts, "cgroup2", "", path)
            continue
        for controller in [each for each in Controller if each in names.split(",")]:
            left.discard(controller)
            if folder := _folder(mounts, "cgroup", controller, path):
                found.setdefault(folder, set()).add(controller)
    result = [ParentGroup(folder, frozenset(controllers)) for folder, controllers in found.items()]
    if unified and left:
        above, _, name = unified.rpartition("/")
        result.append(ParentGroup(above if name == SERVICE else unified, frozenset(left), True, unified))
    return tuple(result)


def group_of(server: ServerId) -> str:
    """Return the name of a server's groups."""
    return f"{_PREFIX}{server}"


def settings(parent: ParentGroup, share: Share) -> list[Setting]:
    """Return what is written into a new group, in this order; its share of the processors is as it is made.

    Args:
        parent: where it is made.
        share: what a visitor may take.
    """
    result = []
    if Controller.MEMORY in parent.controllers and share.memory:
        first, swap = ("memory.max", "0") if parent.unified else ("memory.limit_in_bytes", str(share.memory))
        result = [Setting(first, str(share.memory)), Setting(_SWAP[not parent.unified], swap, needed=False)]
    if Controller.PIDS in parent.controllers:
        result.append(Setting("pids.max", str(share.processes)))
    if Controller.CPU in parent.controllers and share.cpus:
        quota = str(round(share.cpus * PERIOD))
        if parent.unified:
            result.append(Setting("cpu.max", f"{quota} {PERIOD}"))
        else:
            result += [Setting("cpu.cfs_period_us", str(PERIOD)), Setting("cpu.cfs_quota_us", quota)]
    return result


def ours(folders: Iterable[str], server: ServerId) -> list[str]:
    """Return those of the folders that can be groups of a server."""
    return [folder for folder in folders if folder.rpartition("/")[2] == group_of(server)]


def _folder(mounts: str, kind: str, controller: str, path: str) -> str:
    """Return where a group is seen; empty where it is not."""
    for line in mounts.splitlines():
        where, _, what = line.partition(" - ")
        root, point = map(_plain, where.split()[3:5])
        fields = what.split()
        if fields[0] != kind or (controller and controller not in fields[2].split(",")):
            continue
        below = root.rstrip("/") + "/"
        if f"{path}/".startswith(below) and "/.." not in path:
            return f"{point}/{path[len(below) :]}".rstrip("/")
    return ""


def _plain(text: str) -> str:
    """Return a path as it is: in mountinfo spaces and the like are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
