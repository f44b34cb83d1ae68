"""The walls of one server, as its keeper is told of them: what it sees, its user, how much it takes."""
# ruff: noqa: E402 - limits of processes are not there on Windows

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

assert sys.platform != "win32", "walls need namespaces"

import resource

from moorage.errors import LaunchError, UsageError
from moorage.json_types import JsonObject
from moorage.plan.control_groups import GroupsGiven, ParentGroup, group_of
from moorage.plan.egress import PROXY_VARIABLES, EgressList
from moorage.plan.visits import ServerId
from moorage.plan.walls import NAME, Share, Wall, Walls, WallsGiven, planned
from moorage.process import control_groups
from moorage.process.walls import probe
from moorage.tasks import in_thread, reaped, result_of
from moorage.temp.commands import ServerCommand
from moorage.temp.home import Home
from moorage.temp.interpreters import folders_of
from moorage.temp.settings import TempSettings
from moorage.temp.time_left import countdown

log = logging.getLogger("moorage.temp")

VISITOR = "visitor"
"""Name of every visitor's user, behind its walls."""
PORT = 61001
"""Where a server listens that knows ports alone: above what a new network namespace hands out."""
_COPIED = ("home", "work", "token")
_PATHS = ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "JUPYTERLAB_DIR", "LD_LIBRARY_PATH")
"""Variables whose folders can be read."""
_SCRIPT = b"#!"


class Surroundings(Protocol):
    """What is around the servers of one service: walls, or containers."""

    @property
    def strict(self) -> bool:
        """Whether no server may be without, for visitors of other machines come in."""
        ...

    def base(self, command: ServerCommand) -> Mapping[str, str]:
        """Return the environment that a server's own is made of."""
        ...

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return a server's environment, as it is inside.

        Args:
            env: as it is outside.
        """
        ...

    def inside(self, home: Home) -> Home:
        """Return a server's private directory as the server sees it."""
        ...

    def groups_of(self, server: ServerId) -> tuple[str, ...]:
        """Return the folders of the control groups that are made here for a server."""
        ...

    async def walls_of(
        self,
        server: ServerId,
        command: ServerCommand,
        home: Home,
        env: Mapping[str, str],
        port: int,
        share: Share,
    ) -> JsonObject:
        """Return what is around one server, in the words of what starts it; raises LaunchError."""
        ...

    async def check(self, share: Share) -> None:
        """Check that what each visitor of an offer may take can be kept; raises UsageError."""
        ...

    async def prepare(self, command: ServerCommand) -> None:
        """Look at what servers of a command need, before any is started; raises UsageError."""
        ...


@dataclass
class Walling:
    """Puts up walls around the servers of one service.

    Args:
        walls: those that stand.
        _given: what the machine gives.
        state: the service's private directory, of which a server sees its own part alone.
        readable: further paths that all visitors may read.
        strict: whether no server may be without walls, for visitors of other machines come in.
        parents: where control groups are made for servers.
    """

    walls: Walls
    _given: WallsGiven
    state: Path
    readable: tuple[Path, ...] = ()
    strict: bool = False
    parents: tuple[ParentGroup, ...] = ()
    _known: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)

    def base(self, command: ServerCommand) -> Mapping[str, str]:  # noqa: ARG002 - the same for all
        """Return the environment of this process without proxies: no way leads there, some hold secrets."""
        return {name: value for name, value in os.environ.items() if name not in PROXY_VARIABLES}

    async def prepare(self, command: ServerCommand) -> None:
        """Do nothing: what a server needs is looked at when it is started."""

    async def check(self, share: Share) -> None:
        """Check that what each visitor of an offer may take can be kept; 20 ms where limits need groups.

        Raises:
            UsageError: it cannot.
        """
        if share.memory or share.cpus:
            _check(share, await control_groups.given(share), dashes="")

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return a server's environment, as it is behind walls.

        Args:
            env: as it is without.
        """
        inside = {name: value for name, value in env.items() if name != "TMPDIR"}
        return inside | {name: VISITOR for name in ("USER", "LOGNAME") if name in inside}

    def inside(self, home: Home) -> Home:
        """Return a server's private directory: it has the same path behind walls."""
        return home

    def groups_of(self, server: ServerId) -> tuple[str, ...]:
        """Return the folders of the control groups that a server gets."""
        return tuple(control_groups.folder_of(parent, group_of(server)) for parent in self.parents)

    async def walls_of(
        self,
        server: ServerId,
        command: ServerCommand,
        home: Home,
        env: Mapping[str, str],
        port: int,
        share: Share,
    ) -> JsonObject:
        """Make a server's control groups, and return its walls, see :func:`moorage.process.walls.view.build`.

        Args:
            server: its name.
            command: that it is started with.
            home: its private directory.
            env: its environment.
            port: where it listens; 0 for a server that takes a Unix socket.
            share: what its visitor may take.

        Raises:
            LaunchError: a group cannot be made.
        """
        await self._make_groups(server, share)
        words = (*command.argv, *(env.get(name, "") for name in _PATHS), env.get("PATH", ""))
        if words not in self._known:
            self._known[words] = await in_thread(lambda: self._seen(command, env), name="look at a program")
        user = self._given.ids.of(server) if self._given.ids is not None else None
        outside = (os.geteuid(), os.getegid()) if user is None else (user, user)
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = share.files if soft < 0 else min(soft, share.files)
        return {
            "name": NAME,
            "user_namespace": self._given.user_namespace,
            "user": user,
            "group": user,
            "private": str(home.path),
            "copied": list(_COPIED),
            "readable": sorted(self._known[words]),
            "hidden": [str(self.state)],
            "files": files_of(outside, home),
            "disk": share.disk,
            "rlimits": [
                [resource.RLIMIT_NPROC, share.processes, share.processes],
                [resource.RLIMIT_NOFILE, files, files],
                [resource.RLIMIT_CORE, 0, 0],
            ],
            "groups": [f"{folder}/{control_groups.PROCESSES}" for folder in self.groups_of(server)],
            "warden": str(home.warden),
            "relay": [str(home.socket), port] if port else None,
            "landlock": Wall.LANDLOCK in self.walls.on,
            "calls": Wall.CALLS in self.walls.on,
        }

    async def _make_groups(self, server: ServerId, share: Share) -> None:
        make = partial(control_groups.make, self.parents, group_of(server), share)
        making = in_thread(make, name="make control groups")
        try:
            await result_of(making)
        except asyncio.CancelledError:
            await reaped(making)  # what it makes must be there when it is removed
            raise
        except OSError as error:
            why = error.strerror or str(error)
            raise LaunchError("no control group can be made for a server", why=why) from error

    def _seen(self, command: ServerCommand, env: Mapping[str, str]) -> frozenset[str]:
        """Return what a command needs to read beside the system."""
        found = {*self.readable, *_programs(command, env)}
        for name in _PATHS:
            found |= {Path(each) for each in env.get(name, "").split(os.pathsep) if each}
        found |= {path.resolve() for path in found}
        home = Path.home()
        chosen = {*self.readable}
        far = {path for path in found - chosen if path in (home, *home.parents)}
        for path in far - {Path("/")}:
            log.warning("Visitors cannot read %s: it is a home directory, or has one in it", path)
        return frozenset(str(path) for path in found - far if path.is_absolute() and path.exists())


async def put_up(settings: TempSettings, *, elsewhere: bool) -> Walling | None:
    """Return what puts up walls and bounds visitors, and say what there is; None where there are no walls.

    Args:
        settings: of the service.
        elsewhere: whether visitors of other machines come in.

    Raises:
        UsageError: they would come in without walls that they need; a limit that is asked for cannot be kept.
    """
    given = await in_thread(probe.given, name="try walls") if settings.walls else WallsGiven(root=_is_root())
    walls = planned(given, wanted=settings.walls)
    if walls.missing and elsewhere and not settings.accepted:
        raise UsageError(
            "no visitors of other machines are let in without walls between them",
            why=walls.why,
            do=f"{walls.do}, or accept that each can do what you can: --i-accept-no-isolation",
        )
    if settings.egress and not walls.on:
        raise UsageError("--egress needs walls", why=walls.why, do=walls.do)
    groups = await _groups(settings.share, walls)
    for line in walls.told(settings.share):
        log.log(logging.WARNING if walls.missing else logging.INFO, "%s", line)
    brake = groups.brake_told(settings.brake_after, countdown(settings.brake_after))
    for line in [*(groups.told(settings.share) if walls.on else []), *filter(None, [brake])]:
        log.info("%s", line)
    if not walls.on:
        return None
    if settings.egress:
        log.info("Each may reach %s, and nothing else of the network", settings.egress.told)
    strict = elsewhere and not settings.accepted
    return Walling(walls, given, settings.state, settings.readable, strict, groups.parents)


async def _groups(share: Share, walls: Walls) -> GroupsGiven:
    """Return which control groups there can be.

    Raises:
        UsageError: a limit that is asked for cannot be kept.
    """
    if walls.on:
        found = await control_groups.given(share)
    else:
        found = GroupsGiven(
            why=f"A server goes into its group as it goes behind walls. {walls.why}", do=walls.do
        )
    _check(share, found)
    return found


async def check_kept(share: Share, walling: Surroundings | None) -> None:
    """Check that what each visitor of an offer may take can be kept.

    Args:
        share: of the offer.
        walling: what is around servers; None for nothing.

    Raises:
        UsageError: it cannot.
    """
    if not share.memory and not share.cpus:
        return
    if walling is None:
        why = "A server goes into its group as it goes behind walls, and there are none"
        _check(share, GroupsGiven(why=why), dashes="")
    else:
        await walling.check(share)


def check_egress(egress: EgressList, walling: Surroundings | None) -> None:
    """Check that visitors of an offer reach hosts of a list alone.

    Args:
        egress: the list.
        walling: what is around servers; None for nothing.

    Raises:
        UsageError: they reach all that this machine does.
    """
    if egress and walling is None:
        raise UsageError("egress needs walls", why="Servers have the network of this machine here")


def _check(share: Share, found: GroupsGiven, dashes: str = "--") -> None:
    if option := found.lacks(share):
        option = dashes + option.removeprefix("--")
        raise UsageError(f"{option} cannot be kept for visitors", why=found.why, do=found.do)


def _is_root() -> bool:
    return os.geteuid() == 0


def _programs(command: ServerCommand, env: Mapping[str, str]) -> set[Path]:
    """Return files that a command names, and the folders of the Python that runs it."""
    found = {Path(word) for word in command.argv if word.startswith("/")}
    program = shutil.which(command.argv[0], path=env.get("PATH")) if command.argv else None
    if program is None:
        return found
    path = Path(program)
    with path.open("rb") as file:
        first = file.readline(256)
    interpreter = path
    if first.startswith(_SCRIPT):
        words = os.fsdecode(first[2:]).split()
        named = words[1] if len(words) > 1 and Path(words[0]).name == "env" else words[0]
        interpreter = Path(shutil.which(named, path=env.get("PATH")) or named)
    python = folders_of(interpreter) if interpreter.name.startswith("python") else frozenset()
    return found | {path, interpreter} | python


def files_of(ids: tuple[int, int], home: Home) -> dict[str, str]:
    """Return the files of the system that say what is true inside, by path.

    Args:
        ids: the server's user and group.
        home: its private directory.
    """
    user, group = ids
    passwd = f"{VISITOR}:x:{user}:{group}::{home.path / 'home'}:/bin/bash\n"
    if user != 0:
        passwd = f"root:x:0:0:root:/root:/usr/sbin/nologin\n{passwd}"
    return {
        "/etc/passwd": f"{passwd}nobody:x:65534:65534::/:/usr/sbin/nologin\n",
        "/etc/group": f"{VISITOR}:x:{group}:\nnogroup:x:65534:\n",
        "/etc/hosts": f"127.0.0.1 localhost {NAME}\n::1 localhost {NAME}\n",
    }
