"""Jupyter servers, known by the command lines of a kernel's ancestors."""

from __future__ import annotations

import re
import sys

# A kernel's parent, grandparent and so on: a warden and a template may stand between it and its server.
_ANCESTORS = 4
_SCRIPT = re.compile(r"jupyter-(lab|labhub|server|notebook|nbclassic)|jupyterhub-singleuser")
_MODULE = re.compile(r"jupyterlab|jupyter_server|notebook|nbclassic|jupyterhub\.singleuser")


def server_of(pid: int) -> int | None:
    """Return the pid of the Jupyter server that manages a kernel, and starts it again when it ends.

    Args:
        pid: of the kernel's process.

    Returns:
        None where none is among its ancestors, and on systems without /proc.
    """
    if sys.platform != "linux":
        return None
    from moorage.process import procfs

    for _ in range(_ANCESTORS):
        process = procfs.look(pid)
        if process is None or process.ppid <= 1:
            return None
        pid = process.ppid
        try:
            words = procfs.read(f"/proc/{pid}/cmdline").decode(errors="replace").split("\0")
        except OSError:
            return None
        module = words[2] if words[1:2] == ["-m"] and len(words) > 2 else ""
        scripts = [word.rpartition("/")[2] for word in words[:2]]
        if _MODULE.fullmatch(module) or any(map(_SCRIPT.fullmatch, scripts)):
            return pid
    return None
