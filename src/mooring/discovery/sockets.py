"""Who listens at a port of this machine, as /proc tells it."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import cached_property

_LISTEN = "0A"


class Listeners:
    """The listening TCP sockets of this user, looked up once and only when somebody asks."""

    def owner(self, port: int) -> int | None:
        """Return the pid of the process of this user that listens at a port, or None."""
        inode = self._inodes.get(port)
        return None if inode is None else self._pids.get(inode)

    @cached_property
    def _inodes(self) -> dict[int, str]:
        """Inode of the socket by port. Source: proc_net_tcp in Linux' documentation."""
        found: dict[int, str] = {}
        for name in ("tcp", "tcp6"):
            with suppress(OSError), open(f"/proc/self/net/{name}", encoding="ascii") as file:  # noqa: PTH123 - read line by line
                next(file, "")
                for line in file:
                    fields = line.split()
                    if len(fields) > 9 and fields[3] == _LISTEN:
                        found[int(fields[1].rpartition(":")[2], 16)] = fields[9]
        return found

    @cached_property
    def _pids(self) -> dict[str, int]:
        """Pid by inode, of the sockets this user's processes hold. Of several holders the oldest counts."""
        found: dict[str, int] = {}
        if sys.platform != "linux":
            return found
        own = os.getuid()
        for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):  # noqa: PTH208 - only names are wanted
            folder = f"/proc/{pid}/fd"
            with suppress(OSError):
                if os.stat(f"/proc/{pid}").st_uid != own:  # noqa: PTH116 - cheaper, of thousands
                    continue
                for descriptor in os.listdir(folder):  # noqa: PTH208 - as above
                    with suppress(OSError):
                        target = os.readlink(f"{folder}/{descriptor}")  # noqa: PTH115 - as above
                        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
                            found.setdefault(match[1], pid)
        return found
