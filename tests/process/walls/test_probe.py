"""What the machine gives for walls, and why not, in words."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from moorage.errors import LaunchError
from moorage.process.netns.probe import obstacle
from moorage.process.walls import probe
from moorage.process.walls.probe import explained, given

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces")


@linux
def test_it_is_tried() -> None:
    found = given()
    if obstacle() is not None:
        assert found.why
        return
    assert found.root == (os.geteuid() == 0)
    assert found.user_namespace or found.root
    assert (found.ids is None) == found.user_namespace


@linux
def test_what_is_refused_by_a_part_is_tried_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def tried(own: bool, ids: object, refused: set[str]) -> str:
        asked.append(set(refused))
        missing = [each for each in ("walls/landlock", "walls/calls") if each not in refused]
        return f"{missing[0]} 38" if missing else "ok"

    monkeypatch.setattr(probe, "_tried", tried)
    found = given()
    assert (found.why, found.landlock, found.calls) == ("", False, False)
    assert asked == [set(), {"walls/landlock"}, {"walls/landlock", "walls/calls"}]


@linux
def test_what_cannot_be_tried_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    found = given()
    assert found.why.startswith("Trying failed: ")
    assert found.do == "Try again"


@pytest.mark.parametrize(
    ("stage", "number", "why", "do"),
    [
        ("walls/fork", errno.ENOSYS, "This needs Linux 5.12", "Use a newer kernel"),
        ("walls/files", errno.ENOSPC, "What it starts with is larger", "Raise --disk"),
        ("walls/files", errno.EPERM, "The system lets no /proc be mounted", "systempaths=unconfined"),
        (
            "walls/network",
            errno.EIO,
            "The step walls/network was refused: Input/output error",
            "administrator",
        ),
    ],
)
def test_a_refused_step_in_words(stage: str, number: int, why: str, do: str) -> None:
    error = explained(stage, number)
    assert why in error.why
    assert do in error.do
    assert isinstance(error, LaunchError) == (number == errno.ENOSPC)


@linux
def test_a_lock_is_named_as_for_other_namespaces() -> None:
    error = explained("walls/fork", errno.EPERM)
    assert error.why
    assert "leave the isolation out" not in error.do
