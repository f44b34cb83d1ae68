"""What a process hands down is compared before a warden is used again."""

from __future__ import annotations

import os
import resource

import pytest

from moorage.process.warden.inherited import surroundings


def test_nothing_changes_by_itself():
    assert surroundings() == surroundings()


@pytest.mark.parametrize("name", ["XDG_RUNTIME_DIR", "TMPDIR", "MOORAGE_LAUNCH"])
def test_variables_that_a_warden_reads_count(monkeypatch, name):
    before = surroundings()
    monkeypatch.setenv(name, "/elsewhere")
    assert surroundings() != before


def test_variables_that_it_does_not_read_do_not(monkeypatch):
    before = surroundings()
    monkeypatch.setenv("EDITOR", "ed")
    assert surroundings() == before


def test_the_umask_counts():
    before = surroundings()
    old = os.umask(0o077)
    try:
        os.umask(0o027)
        assert surroundings() != before
    finally:
        os.umask(old)
    assert surroundings() == before


def test_limits_count():
    before = surroundings()
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0 if soft else min(4096, hard) if hard >= 0 else 4096, hard))
    try:
        assert (surroundings() != before) == (resource.getrlimit(resource.RLIMIT_CORE) != (soft, hard))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_affinity_counts():
    before, cores = surroundings(), os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("there is one core only")
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert surroundings() != before
    finally:
        os.sched_setaffinity(0, cores)
    assert surroundings() == before
