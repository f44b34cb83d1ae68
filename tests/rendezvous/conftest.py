"""What the tests of addresses share."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

KEY = b"0123456789abcdef"


@pytest.fixture
def directory():
    """Private and short, as a warden's are."""
    made = Path(tempfile.mkdtemp(prefix="k"))
    yield made
    shutil.rmtree(made)
