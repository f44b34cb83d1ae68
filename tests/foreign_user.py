"""Another user of the machine, whom only root can play."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

STRANGER = 12321
"""The uid of a user with no name, who owns nothing else."""


def give_away(path: Path) -> None:
    """Make a file, a link or a folder that user's."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files of another user")
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
