"""What is left of a keeper that has ended: its record, its log, processes it could not end, its directory."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from moorage.json_types import JsonMapping, JsonObject
from moorage.keeper.process import record
from moorage.keeper.status import KeptStatus, kept_status

assert sys.platform != "win32", "keepers need Unix sockets and fork"

if sys.platform == "linux":
    from moorage.process import procfs
    from moorage.process.warden.kill_tree import TreeKill

_TAIL = 8 * 1024
_ROUNDS = 200
TIDYING = 0.25
"""Seconds that another program gets to remove a directory; it takes a millisecond."""


def kept_output(directory: Path, most: int = 1 << 24) -> str:
    """Return what a log holds of a kept process's stdout and stderr, decoded as UTF-8 with replacement.

    Args:
        directory: of the kept process.
        most: bytes; the newest count.
    """
    data = b""
    for name in (record.OUTPUT, record.OLDER):
        with suppress(OSError):
            fd = os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(fd, "rb") as file:
                file.seek(max(0, os.fstat(fd).st_size - most))
                data = file.read(most) + data
    return data[-most:].decode(errors="replace")


def read_record(directory: Path) -> JsonObject | None:
    """Return the record of a keeper; None where there is none, or none that makes sense."""
    found = record.read(str(directory))
    try:
        if found is not None:
            kept_status(found)
            for name in ("pid", "start", "boot"):
                found["keeper"][name]
            if found["charge"] is not None:
                for name in ("pid", "start", "pipe"):
                    found["charge"][name]
            str(found["id"]), str(found["label"])
    except (KeyError, TypeError, ValueError):
        return None
    return found


def last_status(directory: Path, found: JsonMapping) -> KeptStatus:
    """Return the last status of a kept process whose keeper is gone, with the end of its output.

    Args:
        directory: its own.
        found: the record.
    """
    told = {**found, "output": {"tail": kept_output(directory, _TAIL), **found["output"]}}
    if found["state"] != "ended":  # the keeper was killed
        told |= {"state": "ended", "reason": "lost"}
    return kept_status(told)


def errors_of(directory: Path) -> str:
    """Return the last line that the keeper itself wrote to stderr: nothing, or why it failed."""
    try:
        text = (directory / record.ERRORS).read_text(errors="replace").strip()
    except OSError:
        return ""
    return text.splitlines()[-1] if text else ""


def tidy(directory: Path) -> bool:
    """Remove the directory of a keeper that is gone; return False where a keeper still holds it.

    Other programs' files in it stay, and the directory with them. Blocks for a quarter of a second at most,
    where another program is removing it.
    """
    found = read_record(directory)
    lives = found is not None and sys.platform == "linux" and not _is_gone(found)
    try:
        lock = record.lock(str(directory), within=0 if lives else TIDYING)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    record.remove(str(directory))
    os.close(lock)
    return True


def kill_left(found: JsonMapping) -> int:
    """SIGKILL what is left of a kept process after its keeper was killed; blocks until nothing of it is left.

    It is known by what its environment says, by the pipe that its output goes to, and by descent from either.
    The charge itself the system has killed already, where it can.

    Args:
        found: the record.

    Returns:
        How many processes may not be killed.
    """
    left = 0
    if sys.platform == "linux" and found["keeper"]["boot"] == record.boot():
        kill = TreeKill()
        for _ in range(_ROUNDS):
            family = _family(str(found["id"]), found["charge"])
            if kill.strike(family):
                return kill.left
            if family:
                procfs.outwait(family[0], kill.pause() / 1000)
            left = len(family)
    return left


if sys.platform == "linux":

    def outwait_keeper(found: JsonMapping, seconds: float, *, kill: bool = False) -> bool:
        """Wait until a keeper has ended, or the time is over; return whether it has ended.

        Args:
            found: its record.
            seconds: at most.
            kill: whether to send it SIGKILL before.
        """
        row = _keeper(found)
        if row is not None:
            if kill:
                procfs.send(row, 9)
            procfs.outwait(row, seconds)
        return _is_gone(found)

    def _keeper(found: JsonMapping) -> procfs.Process | None:
        keeper = found["keeper"]
        row = procfs.look(int(keeper["pid"]))
        same = row is not None and row.start == keeper["start"] and keeper["boot"] == record.boot()
        return row if same else None

    def _is_gone(found: JsonMapping) -> bool:
        row = _keeper(found)
        return row is None or row.dead

    def _family(identity: str, charge: JsonMapping | None) -> list[procfs.Process]:
        """Return what belongs to a charge, with all that descends from it."""
        table = procfs.table()
        own = os.getpid()
        found = {
            row.pid: row
            for row in table.values()
            if row.pid != own and not row.dead and _belongs(row, identity, charge)
        }
        for pid in list(found):
            for descendant in procfs.roots(table, pid):
                if not table[descendant].dead:
                    found[descendant] = table[descendant]
        return list(found.values())

    def _belongs(row: procfs.Process, identity: str, charge: JsonMapping | None) -> bool:
        if charge is not None and row.pid == charge["pid"] and row.start == charge["start"]:
            return True
        if charge is not None:
            for number in (1, 2):
                with suppress(OSError):
                    if os.readlink(f"/proc/{row.pid}/fd/{number}") == f"pipe:[{charge['pipe']}]":  # noqa: PTH115 - no path
                        return True
        return procfs.variables(row.pid, record.MARKER)[0] == identity
