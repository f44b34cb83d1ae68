"""Findings, and what becomes of errors in them."""

from __future__ import annotations

from moorage.doctor.finding import Finding, refused, worst
from moorage.errors import LaunchError


def test_the_gravest_counts():
    ok, warn, fail = (Finding("x", level, "y") for level in ("ok", "warn", "fail"))
    assert worst([]) == "ok"
    assert worst([ok, warn, ok]) == "warn"
    assert worst([warn, fail, ok]) == "fail"


def test_an_error_keeps_its_reason_and_its_advice():
    found = refused("launching", LaunchError("no", why="because of it.", do="Do this"), "warn")
    assert found == Finding("launching", "warn", "no. because of it", "Do this")
    assert refused("x", LaunchError("no")).says == "no"
