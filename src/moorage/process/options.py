"""As which user and within what limits a process runs, where that differs from the process that asks for it.

Source: subprocess.Popen, whose arguments of these names mean the same; setrlimit(2), credentials(7).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moorage.errors import UsageError

Limit = int | tuple[int, int]


@dataclass(frozen=True)
class Ids:
    """Numbers of a user, a group and the supplementary groups; None leaves what there is."""

    user: int | None
    group: int | None
    groups: tuple[int, ...] | None


@dataclass(frozen=True)
class ProcessOptions:
    """What a process gets that its launcher does not have.

    Attributes:
        user: name or number of the user it runs as. Without ``group`` it gets that user's own groups, and
            none of the launcher's. Only a privileged launcher may name another one.
        group: name or number of its group.
        extra_groups: names or numbers of its supplementary groups; None for the user's.
        umask: of the files it makes.
        rlimits: by name (``AS``, ``NOFILE`` ...) a limit, or a soft and a hard one; -1 for none.
        pass_fds: open descriptors that it inherits under the same numbers, beside the standard ones.
    """

    user: str | int | None = None
    group: str | int | None = None
    extra_groups: Sequence[str | int] | None = None
    umask: int | None = None
    rlimits: Mapping[str, Limit] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()

    def ids(self) -> Ids:
        """Return the numbers.

        Raises:
            UsageError: there is no such user or group, or this system has none.
        """
        if self.user is None and self.group is None and self.extra_groups is None:
            return Ids(None, None, None)
        if sys.platform == "win32":
            raise UsageError("a process of another user or group cannot be started on Windows")
        else:  # noqa: RET506 - without it mypy sees unreachable code elsewhere
            import pwd  # noqa: PLC0415 - not there on Windows

            groups = None if self.extra_groups is None else tuple(map(_group, self.extra_groups))
            group = None if self.group is None else _group(self.group)
            if self.user is None:
                return Ids(None, group, groups)
            try:
                named = isinstance(self.user, str)
                entry = pwd.getpwnam(str(self.user)) if named else pwd.getpwuid(_number("user", self.user))
            except (KeyError, OverflowError):
                if isinstance(self.user, str) or group is None:
                    do = "Name a user that there is" + (
                        "" if isinstance(self.user, str) else ", or a group, too"
                    )
                    raise UsageError(f"there is no user {self.user}", do=do) from None
                return Ids(self.user, group, groups or ())
            group = entry.pw_gid if group is None else group
            own = tuple(os.getgrouplist(entry.pw_name, group)) if groups is None else groups
            return Ids(entry.pw_uid, group, own)

    def owner(self) -> tuple[int, int] | None:
        """Return user and group for files that the process must be able to use; None where ours will do.

        Raises:
            UsageError: as :meth:`ids`.
        """
        ids = self.ids()
        if sys.platform == "win32" or ids.user is None or ids.user == os.geteuid():
            return None
        return ids.user, -1 if ids.group is None else ids.group

    def to_dict(self) -> dict[str, Any]:
        """Return what the warden is told, in numbers.

        Raises:
            UsageError: a value has the wrong type, or names what there is not.
        """
        ids = self.ids()
        passed = [_number("pass_fds", each) for each in self.pass_fds]
        return {
            "user": ids.user,
            "group": ids.group,
            "groups": None if ids.groups is None else list(ids.groups),
            "umask": None if self.umask is None else _number("umask", self.umask),
            "rlimits": [_limit(name, value) for name, value in self.rlimits.items()],
            "pass_fds": sorted({each for each in passed if each > 2}),
        }


def _group(wanted: object) -> int:
    if sys.platform == "win32":
        raise UsageError("there are no groups of processes on Windows")
    else:  # noqa: RET506 - as above
        import grp  # noqa: PLC0415 - not there on Windows

        if not isinstance(wanted, str):
            return _number("group", wanted)
        try:
            return grp.getgrnam(wanted).gr_gid
        except KeyError:
            raise UsageError(f"there is no group {wanted}", do="Name one that there is") from None


def _limit(name: object, value: object) -> list[int]:
    if sys.platform == "win32":
        raise UsageError("there are no limits of processes on Windows")
    else:  # noqa: RET506 - as above
        import resource  # noqa: PLC0415 - not there on Windows

        which = getattr(resource, f"RLIMIT_{str(name).upper().removeprefix('RLIMIT_')}", None)
        if not isinstance(which, int):
            raise UsageError(f"there is no limit {name}", do="Name one of setrlimit(2), such as AS or NOFILE")
        pair = value if isinstance(value, tuple | list) else (value, value)
        if len(pair) != 2:
            raise UsageError(f"the limit {name} is neither a number nor a soft and a hard one")
        numbers = [_number(f"rlimits[{name!r}]", each, least=-1) for each in pair]
        return [which, *numbers]


def _number(name: str, value: object, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise UsageError(f"{name} is {value!r}", why="It has to be a number, not below " + str(least))
    return value
