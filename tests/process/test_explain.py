"""Why a start failed, in words. The common reasons are tried for real in test_local."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from moorage.process.base import LocalSpec
from moorage.process.explain import explain, few_descriptors

SPEC = LocalSpec(("prog",), "/somewhere", {"PATH": "/bin"})


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


@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_the_program_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "prog", 0o700)
    error = explain(LocalSpec(("prog",), "/", {"PATH": str(tmp_path)}), "exec", errno.ENOENT)
    assert error.why


def test_a_limit_on_open_files_that_is_too_low_is_told():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        assert few_descriptors().startswith("The limit on open files is 64,")
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert few_descriptors() == ""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
