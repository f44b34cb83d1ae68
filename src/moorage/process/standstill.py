"""Whether a process is stopped: by a signal, or by a debugger. A look costs 30 us."""

from __future__ import annotations

import os
import sys

from moorage.process import procfs

assert sys.platform == "linux", "other systems have no such /proc"

STOPPED = "stopped (SIGSTOP)"
TRACED = "held by a debugger"
_STATES = {b"T": STOPPED, b"t": TRACED}
"""Of field 3 of /proc/PID/stat, see proc(5). SIGTSTP, SIGTTIN and SIGTTOU stop a process likewise."""


def look(pid: int, file: str = "") -> str:
    """Return what holds a process still, in words; empty where it runs, or has ended.

    Args:
        pid: which.
        file: a word of its command. Descendants that have it, too, are looked at: a kernel below a shell.
    """
    for one in procfs.family(pid):
        try:
            if one != pid and not (file and os.fsencode(file) in procfs.read(f"/proc/{one}/cmdline")):
                continue
            stat = procfs.read(f"/proc/{one}/stat")
        except OSError:
            continue
        if why := _STATES.get(stat[stat.rindex(b")") + 2 :][:1]):
            return why
    return ""


def catches(pid: int, signum: int) -> bool:
    """Tell whether a process has a handler of its own for a signal."""
    try:
        lines = procfs.read(f"/proc/{pid}/status").splitlines()
    except OSError:
        return False
    caught = next((line.split()[1] for line in lines if line.startswith(b"SigCgt:")), b"0")
    return bool(int(caught, 16) >> (signum - 1) & 1)
