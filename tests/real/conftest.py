"""What tests that start whole runs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from command import Command, typed_in


@pytest.fixture
def moorage(tmp_path: Path) -> Iterator[Command]:
    """The command in an empty folder, of which nothing may be left."""
    with typed_in(tmp_path) as command:
        yield command
