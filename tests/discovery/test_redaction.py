"""Values that look secret are not shown."""

from __future__ import annotations

import pytest

from moorage.discovery.redaction import HIDDEN, redacted, without_secrets


@pytest.mark.parametrize(
    ("name", "value", "visible"),
    [
        ("PATH", "/usr/local/bin:/usr/bin", True),
        ("OMP_NUM_THREADS", "12", True),
        ("LONG", "a-very-long-word-without-digits", True),
        ("VERSION", "3.12.1", True),
        ("R_LIBS", "/usr/lib/R/site-library/x86_64-pc-linux-gnu", True),
        ("GITHUB_TOKEN", "x", False),
        ("db_password", "x", False),
        ("AWS_SECRET_ACCESS", "x", False),
        ("URL", "postgres://me:hunter2@db/x", False),
        ("URL2", "https://example.org/x", True),
        ("BLOB", "AKIAIOSFODNN7EXAMPLE1", False),
    ],
)
def test_values_that_look_secret(name, value, visible):
    assert redacted(value, name) == (value if visible else HIDDEN)


def test_flags_that_look_secret():
    assert without_secrets(("x", "--key", "a", "b", "--n=1")) == ["x", "--key", HIDDEN, "b", "--n=1"]


def test_every_text_of_a_table_is_looked_at():
    told = {"hub": {"auth": ["xyz", 1]}, "debugger": True, "names": ["a"]}
    assert redacted(told) == {"hub": {"auth": [HIDDEN, 1]}, "debugger": True, "names": ["a"]}
