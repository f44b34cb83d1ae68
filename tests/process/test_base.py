"""The records of a launch."""

from __future__ import annotations

from moorage.process.base import LaunchSpec


def test_the_environment_is_in_no_repr():
    assert "hush" not in repr(LaunchSpec(("true",), "/", {"TOKEN": "hush"}))
