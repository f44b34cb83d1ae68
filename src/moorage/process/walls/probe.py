"""What this machine gives for walls: tried, not guessed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from moorage.errors import IsolationError, LaunchError
from moorage.json_types import JsonObject
from moorage.plan.walls import NAME, ServerIds, WallsGiven, ids_of
from moorage.process.netns import probe

if sys.platform == "linux":
    from moorage.process.netns.enter import CAP_NET_ADMIN, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, Rights

TRIAL = Path(__file__).with_name("trial.py")
_PATIENCE = 30.0
"""Seconds that trying may take; 0.05 is usual."""
_OLD = "This needs Linux 5.12", "Use a newer kernel"
_MASKED = (
    "The system lets no /proc be mounted here, as in containers that mask theirs",
    "Run the container with `--security-opt systempaths=unconfined`, or outside",
)


def given() -> WallsGiven:
    """Try to go behind walls, in a process of its own, and tell what this machine gives; 50 ms."""
    if sys.platform != "linux":
        return WallsGiven(
            f"Only Linux has them, and this is {sys.platform}", "Run it on Linux, or in a container"
        )
    else:  # noqa: RET505 - without it mypy looks for what is not there elsewhere
        rights, root = Rights(), os.geteuid() == 0
        own = not (root and rights.have(CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_SETUID, CAP_SETGID))
        ids = None if own else ids_of(_extents())
        refused: set[str] = set()
        while True:
            said = _tried(own, ids, refused)
            stage, _, number = said.partition(" ")
            if stage not in {"walls/landlock", "walls/calls"}:
                break
            refused.add(stage)
        why, do = ("", "") if said == "ok" else _why(stage, number)
        return WallsGiven(
            why, do, own, root, ids,
            calls="walls/calls" not in refused, landlock="walls/landlock" not in refused,
        )  # fmt: skip


def trial_walls(
    private: str, *, user_namespace: bool, ids: ServerIds | None, refused: set[str]
) -> JsonObject:
    """Return what is tried."""
    user = None if ids is None else ids.first
    return {
        "private": private, "copied": [], "readable": [], "hidden": [], "files": {}, "disk": 1 << 20,
        "user": user, "group": user, "user_namespace": user_namespace, "groups": [], "rlimits": [],
        "name": NAME, "relay": None,
        "landlock": "walls/landlock" not in refused, "calls": "walls/calls" not in refused,
    }  # fmt: skip


def _tried(own: bool, ids: ServerIds | None, refused: set[str]) -> str:  # noqa: FBT001 - private
    with tempfile.TemporaryDirectory(prefix="moorage-") as private:
        walls = trial_walls(private, user_namespace=own, ids=ids, refused=refused)
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-E", str(TRIAL), json.dumps(walls)],
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f"{error}"
        return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def _extents() -> list[tuple[int, int]]:
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return [(int(line.split()[0]), int(line.split()[2])) for line in lines]


def _why(stage: str, number: str) -> tuple[str, str]:
    """Say why a step was refused, and what to do."""
    if not number.isdigit():
        return f"Trying failed: {stage} {number}".strip(), "Try again"
    error = explained(stage, int(number))
    return error.why, error.do


def explained(stage: str, number: int) -> IsolationError | LaunchError:
    """Turn a refused step into an error that says what to do.

    Args:
        stage: as in :class:`moorage.process.walls.inside.WallRefused`, or ``walls/fork``.
        number: the errno it was refused with.
    """
    what = "no walls can be put up here"
    if number == errno.ENOSYS:
        return IsolationError(what, why=_OLD[0], do=_OLD[1])
    if stage == "walls/files" and number == errno.ENOSPC:
        why = "What it starts with is larger than the files that a visitor may have"
        return LaunchError("a server cannot be started", why=why, do="Raise --disk")
    if stage == "walls/files" and number == errno.EPERM:
        return IsolationError(what, why=_MASKED[0], do=_MASKED[1])
    if stage in ("walls/fork", "walls/map"):
        told = probe.explain("isolate/user" if stage == "walls/fork" else "isolate/map", number)
        return IsolationError(what, why=told.why, do=told.do.partition(", or leave")[0])
    why = f"The step {stage} was refused: {os.strerror(number)}"
    return IsolationError(what, why=why, do="Ask the administrator of this machine")
