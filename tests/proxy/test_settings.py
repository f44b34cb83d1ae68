"""Fields that are added to requests."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.proxy.settings import custom_field


@pytest.mark.parametrize(
    ("text", "field"),
    [("k1:v1", (b"k1", b"v1")), (" k2 : v : 2 ", (b"k2", b"v : 2")), ("X-Empty:", (b"X-Empty", b""))],
)
def test_custom_fields(text: str, field: tuple[bytes, bytes]) -> None:
    assert custom_field(text) == field


@pytest.mark.parametrize(
    "text", ["", "k", ":v", "a b:c", "k:v\r\nX: y", "Content-Length: 5", "transfer-encoding:x", "k:\u20ac"]
)
def test_what_is_no_custom_field(text: str) -> None:
    with pytest.raises(UsageError):
        custom_field(text)
