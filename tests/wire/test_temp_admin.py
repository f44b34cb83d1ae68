"""What the admin interface says and takes."""

from __future__ import annotations

import pytest

from moorage.errors import ProtocolError
from moorage.wire.temp_admin import Drain, ServerInfo, ServerList, Settings, encode, read


def test_there_and_back() -> None:
    servers = ServerList((ServerInfo("a", "/user/a/", "ready", spare=False, offer="", age=1.5),))
    assert read(encode(servers), ServerList) == servers
    assert encode(Drain(True)) == b'{"draining":true}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"capacity": "3"}', "Expected `int | null`"),
        (b'{"capacity": 1.5}', "Expected `int | null`"),
        (b'{"capcity": 3}', "unknown field `capcity`"),
    ],
)
def test_what_is_no_message(text: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match="that is no Settings") as error:
        read(text, Settings)
    assert why in error.value.why


def test_what_is_not_named_stays() -> None:
    assert read(b'{"spares": 0}', Settings) == Settings(None, 0)
