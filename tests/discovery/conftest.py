"""Environments to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from environments import Environments


@pytest.fixture
def made(tmp_path: Path) -> Environments:
    """A home of its own, in which tests make environments."""
    return Environments(tmp_path)
