"""What may be believed of what lies around: what this user or root made, and no other user can change.

A configuration, an environment or a cache decides which programs run and where files are written. One that
another user may write to would let that user run programs as this one: ``/tmp/moorage.toml`` counts for
nothing. ``MOORAGE_TRUST`` names folders, separated like those of PATH, below which everything counts; ``*``
is every folder. git has the same rule, and the same way out: its setting ``safe.directory``.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from moorage.errors import ConfigurationError

_log = logging.getLogger("moorage.trust")

VARIABLE = "MOORAGE_TRUST"

_told: set[Path] = set()  # files whose passing over has been logged


class Distrust(msgspec.Struct, frozen=True):
    """Why something does not count.

    Attributes:
        why: a clause: ``/tmp belongs to the user bob``.
        folder: the one to name in ``MOORAGE_TRUST``.
        planted: another user has put the file into a folder that many may write to: no reason to refuse
            anything, or every user could stop every other one.
    """

    why: str
    folder: Path
    planted: bool = False

    @property
    def do(self) -> str:
        """What to do about it."""
        return f"If you trust all that lies there, set {VARIABLE}={self.folder}"


def distrust(path: Path) -> Distrust | None:
    """Tell why a file does not count; None where it does.

    It has to belong to this user or root (with sudo also to the user who typed it), the folder as well, and
    no other user may write to either. A group that has no other member counts as this user.

    Args:
        path: absolute path of the file; of a link both ends are looked at.

    Raises:
        OSError: it is not there.
    """
    if is_trusted(path):
        return None
    folder = path.parent
    inside = folder.stat()
    shared = _writers(inside)
    for status in (path.lstat(), path.stat()):
        if not _is_ours(status.st_uid):
            return Distrust(f"{path} belongs to {_user(status.st_uid)}", folder, planted=bool(shared))
    if not _is_ours(inside.st_uid):
        return Distrust(f"{folder} belongs to {_user(inside.st_uid)}", folder)
    if shared:
        return Distrust(f"{shared} may write to {folder}", folder)
    writers = _writers(path.stat())
    return Distrust(f"{writers} may write to {path}", folder) if writers else None


def distrust_folder(folder: Path) -> Distrust | None:
    """Tell why a folder does not count as this user's or root's; None where it does.

    Its parent may be one that many write to only when it is sticky, as /tmp is.

    Args:
        folder: absolute path; of a link both ends are looked at.

    Raises:
        OSError: it is not there.
    """
    if is_trusted(folder):
        return None
    for status in (folder.lstat(), folder.stat()):
        if not _is_ours(status.st_uid):
            return Distrust(f"{folder} belongs to {_user(status.st_uid)}", folder)
    if writers := _writers(folder.stat()):
        return Distrust(f"{writers} may write to {folder}", folder)
    parent = folder.parent.stat()
    if not _is_ours(parent.st_uid):
        return Distrust(f"{folder.parent} belongs to {_user(parent.st_uid)}", folder)
    if not parent.st_mode & stat.S_ISVTX and (writers := _writers(parent)):
        return Distrust(f"{writers} may write to {folder.parent}", folder)
    return None


def counts(path: Path) -> bool:
    """Tell whether a configuration file counts; one that another user has planted is passed over with a word.

    Args:
        path: absolute path of a file that is there.

    Raises:
        ConfigurationError: it does not count, and to go on without it would surprise the user.
        OSError: it is not there any more.
    """
    reason = distrust(path)
    if reason is None:
        return True
    if not reason.planted:
        raise ConfigurationError(f"{path} is not read", why=reason.why, do=reason.do)
    if path not in _told:
        _told.add(path)
        _log.warning("%s is passed over: it belongs to another user", path)
    return False


def is_foreign(path: Path) -> bool:
    """Tell whether a file, or the link in its place, belongs to another user, and the user does not trust it.

    Args:
        path: absolute.

    Raises:
        OSError: it is not there.
    """
    owners = {path.lstat().st_uid, path.stat().st_uid if path.exists() else path.lstat().st_uid}
    return not (all(map(_is_ours, owners)) or is_trusted(path))


def is_trusted(path: Path) -> bool:
    """Tell whether the user has named a path, or a folder above it, in ``MOORAGE_TRUST``."""
    named = [part for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    if not named:
        return False
    # As it is written and as links lead: a checkout may be reached by either.
    both = {path, path.resolve()}
    folders = [Path(part) for part in named if Path(part).is_absolute()]
    return "*" in named or any(
        one.is_relative_to(folder) or one.is_relative_to(folder.resolve())
        for one in both
        for folder in folders
    )


if sys.platform != "win32":
    import grp
    import pwd

    def _owners() -> Iterator[int]:
        yield 0
        yield os.geteuid()
        typed = os.environ.get("SUDO_UID", "")
        if os.geteuid() == 0 and typed.isdecimal():
            yield int(typed)

    def _is_ours(uid: int) -> bool:
        return uid in _owners()

    def _writers(status: os.stat_result) -> str:
        """Return which other users may write, as the subject of a clause; empty where none may."""
        if status.st_mode & stat.S_IWOTH:
            return "Any user"
        if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid):
            with suppress(KeyError):
                return f"The group {grp.getgrgid(status.st_gid).gr_name}"
            return f"The group {status.st_gid}"
        return ""

    def _is_private(gid: int) -> bool:
        """Tell whether a group is root's, or the one that many systems make for each user."""
        names = set()
        for uid in _owners():
            with suppress(KeyError):
                names.add(pwd.getpwuid(uid).pw_name)
        try:
            group = grp.getgrgid(gid)
        except KeyError:  # in containers ids often have no names
            return gid in _owners()
        return (gid in _owners() or group.gr_name in names) and names.issuperset(group.gr_mem)

    def _user(uid: int) -> str:
        with suppress(KeyError):
            return f"the user {pwd.getpwuid(uid).pw_name}"
        return f"the user {uid}"

else:  # Windows guards each user's folders by other means

    def _is_ours(_: int) -> bool:
        return True

    def _writers(_: os.stat_result) -> str:
        return ""

    def _user(uid: int) -> str:
        return f"the user {uid}"
