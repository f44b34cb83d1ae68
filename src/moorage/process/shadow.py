"""A Python that is started with ``-m`` looks for the module in its working directory first.

In a folder that many write to, ``/tmp`` above all, another user's ``ipykernel_launcher.py`` would run in the
place of ipykernel, as this user.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from moorage.command import python_module
from moorage.errors import LaunchError
from moorage.process.base import LaunchSpec
from moorage.trust import is_foreign

_SAFE = re.compile(r"-[bBdEhisOqRuvVx]*[IP].*")
_ENDS = (".py", ".pyc", ".so", ".pyd")
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def check_shadow(spec: LaunchSpec) -> None:
    """Refuse a process that would run another user's file instead of the module it is to run.

    Raises:
        LaunchError: it would.
    """
    found = python_module(spec.argv)
    if found is None or "-m" not in spec.argv or spec.env.get("PYTHONSAFEPATH"):
        return
    if any(_SAFE.fullmatch(word) for word in spec.argv[1 : spec.argv.index("-m")]):
        return
    module = found[0].partition(".")[0]
    for path in _shadows(spec.cwd, {module, "runpy"}):
        if is_foreign(Path(path)):
            raise LaunchError(
                f"Python would run {path} instead of {module}",
                why="It stands in the working directory, and belongs to another user",
                do="Start in a folder of your own, or have the file deleted",
            )


def _shadows(folder: str, names: set[str]) -> Iterator[str]:
    """Yield what would be taken for one of these modules, in a folder that others may write to."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - at each launch
        own = not hasattr(os, "geteuid") or status.st_uid in {0, os.geteuid()}
        if own and not status.st_mode & _WRITABLE:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, dot, _ = entry.name.partition(".")
                if stem in names and (not dot or entry.name.endswith(_ENDS)):
                    yield entry.path
    except OSError:  # what is wrong with it shows when it is entered
        return
