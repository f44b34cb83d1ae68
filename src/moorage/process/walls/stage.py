"""A file system root that is being made: folders of the old one are shown in it, and new ones added.

Loaded by keepers by its path, without the package: standard library only, from Python 3.9 on. Source:
mount(2), open_tree(2), move_mount(2), mount_setattr(2) of Linux 5.12, pivot_root(2).
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH108, PTH110, PTH112, PTH118, PTH120, PTH123, PTH208, PTH211 - pathlib is too large for a keeper

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys

assert sys.platform == "linux", "only Linux has mount namespaces"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process.netns.enter import MS_BIND, MS_NODEV, MS_NOSUID, checked, mount
else:
    from netns.enter import MS_BIND, MS_NODEV, MS_NOSUID, checked, mount

MNT_DETACH = 2
RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8  # MOUNT_ATTR_*
_OPEN_TREE, _MOVE_MOUNT, _SETATTR = 428, 429, 442  # the same numbers everywhere
_AT_RECURSIVE, _AT_EMPTY_PATH, _EMPTY_FROM = 0x8000, 0x1000, 4  # the last one is MOVE_MOUNT_F_EMPTY_PATH
_PIVOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
_PIECE = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class Stage:
    """The new root, mounted somewhere in the old one.

    Args:
        root: where.
        owner: user and group of what the visitor may write; -1 for those of this process.
    """

    def __init__(self, root: str, owner: tuple[int, int]) -> None:
        """Mount it.

        Raises:
            OSError: as the system says; so do all methods.
        """
        self.root = root
        self._owner = owner
        self._shown: list[str] = []
        self._hidden: list[str] = []
        mount("tmpfs", root, MS_NOSUID | MS_NODEV, "tmpfs", "mode=0755,size=4m")

    def at(self, path: str) -> str:
        """Return where a path of the new root is now."""
        return os.path.join(self.root, path.lstrip("/"))

    def seen(self, path: str) -> bool:
        """Tell whether a folder that is shown already has this in it."""
        return _longest(path, self._shown) > _longest(path, self._hidden)

    def show(self, path: str, source: int, *, device: bool = False) -> None:
        """Show what a descriptor leads to, with all that is mounted below it.

        Args:
            path: where.
            source: the descriptor, of :func:`tree`; it is closed.
            device: whether it is a device, that may be written.
        """
        point = self.point(path, directory=stat.S_ISDIR(os.fstat(source).st_mode))
        try:
            attributes("", NOSUID | (0 if device else NODEV | RDONLY), directory=source)
            words = (source, b"", -100, os.fsencode(point), _EMPTY_FROM)
            if _libc.syscall(_MOVE_MOUNT, *words) != 0:
                checked(-1)
        finally:
            os.close(source)
        self._shown.append(path)

    def hide(self, path: str) -> None:
        """Cover a folder that would be seen because one above it is shown."""
        if self.seen(path) and os.path.isdir(self.at(path)):
            mount("tmpfs", self.at(path), MS_NOSUID | MS_NODEV, "tmpfs", "mode=0755,size=1m")
            self._hidden.append(path)

    def put(self, path: str, text: str) -> None:
        """Show a file with a text in the place of a file that the system has there, if it has one."""
        if not os.path.exists(self.at(path)):
            return
        made = self.at("/.made")
        with open(made, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            self.show(path, tree(made))
        finally:
            os.unlink(made)

    def own(self, path: str, share: str, mode: int) -> str:
        """Show a new folder of the visitor's share.

        Args:
            path: where.
            share: where the share is mounted.
            mode: of the folder.

        Returns:
            Where it is now.
        """
        made = os.path.join(share, str(len(os.listdir(share))))
        os.mkdir(made)
        os.chmod(made, mode)
        os.chown(made, *self._owner)
        point = self.point(path, directory=True)
        mount(made, point, MS_BIND)
        return point

    def fill(self, source: int, point: str, names: Sequence[str] | None = None) -> None:
        """Copy a folder: the folders, regular files and links that are in it, and nothing else.

        Args:
            source: its descriptor.
            point: where to.
            names: of what is copied; None for all.
        """
        for name in sorted(os.listdir(source) if names is None else names):
            mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
            target = os.path.join(point, name)
            if stat.S_ISLNK(mode):
                os.symlink(os.readlink(name, dir_fd=source), target)
            elif stat.S_ISDIR(mode):
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=source)
                try:
                    os.mkdir(target)
                    os.chmod(target, stat.S_IMODE(mode) & 0o777 | 0o700)
                    self.fill(inner, target)
                finally:
                    os.close(inner)
            elif stat.S_ISREG(mode):
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                with open(os.open(name, flags, dir_fd=source), "rb") as file, open(target, "xb") as into:
                    while data := file.read(_PIECE):
                        into.write(data)
                os.chmod(target, stat.S_IMODE(mode) & 0o777 | 0o600)
            else:
                continue
            os.chown(target, *self._owner, follow_symlinks=False)

    def point(self, path: str, *, directory: bool) -> str:
        """Make what something can be mounted on, with the folders above it; return where it is now."""
        made = self.at(path)
        if directory:
            os.makedirs(made, exist_ok=True)
        elif not os.path.lexists(made):
            os.makedirs(os.path.dirname(made), exist_ok=True)
            os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return made

    def enter(self, machine: str) -> None:
        """Let nothing be added any more, and make it the root of this process.

        Args:
            machine: as uname(2) names it.
        """
        for path in ["/", *self._hidden]:
            attributes(self.at(path), RDONLY, below=False)
        os.chdir(self.root)
        if _libc.syscall(_PIVOT[machine], b".", b".") != 0:
            checked(-1)
        checked(_libc.umount2(b".", MNT_DETACH))
        os.chdir("/")


def tree(path: str) -> int:
    """Return a copy of what is at a path with all that is mounted below it, mounted nowhere yet.

    Taken before there is a stage: that one may lie below the path.

    Raises:
        OSError: as the system says.
    """
    found: int = _libc.syscall(_OPEN_TREE, -100, os.fsencode(path), 1 | os.O_CLOEXEC | _AT_RECURSIVE)
    if found < 0:
        checked(-1)
    return found


def attributes(point: str, added: int, *, below: bool = True, directory: int = -100) -> None:
    """Add attributes to a mount.

    Args:
        point: where it is; empty for the descriptor itself.
        added: MOUNT_ATTR_*.
        below: whether all that is mounted below it gets them, too.
        directory: descriptor that the path is relative to; -100 for the working directory.

    Raises:
        OSError: as the system says; ENOSYS before Linux 5.12.
    """
    asked = struct.pack("QQQQ", added, 0, 0, 0)
    flags = (_AT_RECURSIVE if below else 0) | (0 if point else _AT_EMPTY_PATH)
    if _libc.syscall(_SETATTR, directory, os.fsencode(point), flags, asked, ctypes.c_size_t(32)) != 0:
        checked(-1)


def unmount(point: str) -> None:
    """Take a mount away from where it is; what is shown of it elsewhere stays."""
    checked(_libc.umount2(os.fsencode(point), MNT_DETACH))


def _longest(path: str, above: list[str]) -> int:
    return max((len(each) for each in above if (path + "/").startswith(each.rstrip("/") + "/")), default=0)
