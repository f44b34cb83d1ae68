"""What the tests of keepers share."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("keepers need Unix sockets and fork", allow_module_level=True)

from keeper.fixtures import exists, keep, keeper, place, until

__all__ = ["exists", "keep", "keeper", "place", "until"]
