"""What a target may be."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.plan.targets import Target, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://127.0.0.1:9000", Target("127.0.0.1", 9000, "", False, b"", b"127.0.0.1:9000")),
        ("http://hub", Target("hub", 80, "", False, b"", b"hub")),
        ("HTTP://Hub:80/", Target("hub", 80, "", False, b"", b"hub")),
        ("https://hub/foo/", Target("hub", 443, "", True, b"/foo", b"hub")),
        ("https://hub:8443/foo?x", Target("hub", 8443, "", True, b"/foo", b"hub:8443")),
        ("http://[::1]:9000", Target("::1", 9000, "", False, b"", b"[::1]:9000")),
        ("http+unix://%2Frun%2Fa.sock/foo", Target("", 0, "/run/a.sock", False, b"/foo", b"localhost")),
        ("unix+http://%2Frun%2Fa.sock", Target("", 0, "/run/a.sock", False, b"", b"localhost")),
        ("unix:/run/a b.sock", Target("", 0, "/run/a b.sock", False, b"", b"localhost")),
        ("unix:///run/a.sock", Target("", 0, "/run/a.sock", False, b"", b"localhost")),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "notaurl",
        "ftp://a",
        "http://",
        "http://a:0",
        "http://a:70000",
        "http://a:b",
        "http://user@a",
        "http://a /",
        "http://a/\r\nX: y",
        "unix:relative",
        "http+unix://relative",
        "http+unix://%2Fa%00b",
        "https+unix://%2Fa",
    ],
)
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(UsageError, match="no target"):
        parse_target(text)
