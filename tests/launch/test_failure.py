"""Why a start failed, in words. The common reasons are tried for real in test_local."""

from __future__ import annotations

import errno

import pytest

from moorage.launch.base import LaunchSpec
from moorage.launch.failure import explain

SPEC = LaunchSpec(("prog",), "/somewhere", {"PATH": "/bin"})


@pytest.mark.parametrize(
    ("stage", "number", "why"),
    [
        ("descriptors", errno.EMFILE, "too many files"),
        ("fork", errno.EAGAIN, "no more processes"),
        ("fork", errno.ENOMEM, "Cannot allocate memory"),
        ("chdir", errno.EACCES, "may not be entered"),
        ("chdir", errno.ELOOP, "Too many levels"),
        ("exec", errno.EPERM, "Operation not permitted"),
    ],
)
def test_every_step_has_its_sentence(stage, number, why):
    error = explain(SPEC, stage, number)
    assert why in error.why
    assert error.do
    assert str(error).startswith("'prog' cannot be started (E-LAUNCH). ")
