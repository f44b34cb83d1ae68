"""Content from a git repository: cloned once, when the service starts, without what could run a program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from moorage.errors import UsageError
from moorage.tasks import in_thread

PATIENCE = 600
"""Seconds that a clone may take."""
_ADDRESS = re.compile(r"(?:https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+", re.ASCII)
# Hooks come from templates of the machine, not from a repository; ext:: and the like run programs.
_OPTIONS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.allow=never")
_PROTOCOLS = ("https", "http", "ssh", "git", "file")


def is_repository(text: str) -> bool:
    """Tell whether content is the address of a repository, or the folder of one without a work tree."""
    if is_address(text):
        return True
    path = Path(text)
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def is_address(text: str) -> bool:
    """Tell whether content is the address of a repository elsewhere, and no path."""
    return _ADDRESS.fullmatch(text) is not None


async def cloned(address: str, branch: str, into: Path) -> Path:
    """Clone a repository, the newest commit alone, and return the folder with its files.

    Args:
        address: URL, or path of a folder.
        branch: or tag; empty for the repository's own choice.
        into: folder that is replaced.

    Raises:
        UsageError: git cannot, with what it said.

    Cancelling abandons what git does.
    """
    await in_thread(lambda: _clone(address, branch, into), name="git clone")
    return into


def _clone(address: str, branch: str, into: Path) -> None:
    shutil.rmtree(into, ignore_errors=True)
    options = (*_OPTIONS, *(f"protocol.{name}.allow=always" for name in _PROTOCOLS))
    words = ["git", *(word for option in options for word in ("-c", option))]
    words += ["clone", "--quiet", "--depth", "1", "--no-tags", "--single-branch"]
    words += [f"--branch={branch}"] if branch else []
    words += ["--", address if is_address(address) else Path(address).absolute().as_uri(), str(into)]
    # Inside a git hook these variables point at another repository.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=env, timeout=PATIENCE
        )
    except FileNotFoundError:
        raise UsageError(
            f"{address} cannot be cloned", why="There is no git here", do="Install git"
        ) from None
    except subprocess.TimeoutExpired:
        why = f"git was not done within {PATIENCE} s"
        raise UsageError(f"{address} cannot be cloned", why=why) from None
    if done.returncode:
        why = _reason(done.stderr.decode(errors="replace")) or f"git ended with exit code {done.returncode}"
        raise UsageError(f"{address} cannot be cloned", why=why, do="Try git clone by hand")
    shutil.rmtree(into / ".git", ignore_errors=True)


def _reason(said: str) -> str:
    """Return the line in which git says why it failed."""
    lines = said.strip().splitlines()
    fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return (fatal or lines or [""])[0].partition("fatal: ")[2] or (fatal or lines or [""])[0]
