"""Which address a visitor comes from."""

from __future__ import annotations

import socket

import pytest

from moorage.errors import UsageError
from moorage.temp.addresses import origin_of, trusted_network, visitor_address

TRUSTED = (trusted_network("127.0.0.1"), trusted_network("10.1.2.3/8"), trusted_network("::1"))


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("198.51.100.1, 203.0.113.5", "203.0.113.5"),  # a visitor may say what it likes
        ("203.0.113.5, 127.0.0.1", "203.0.113.5"),
        ("198.51.100.1, 203.0.113.5,10.0.0.1 , 127.0.0.1", "203.0.113.5"),
        ("203.0.113.5:4711, 127.0.0.1", "203.0.113.5"),
        ("127.0.0.1", "127.0.0.1"),
        ("unknown, 127.0.0.1", "127.0.0.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3::4]:80, ::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x", ""),
    ],
)
def test_the_first_that_no_trusted_proxy_has(forwarded: str, address: str) -> None:
    assert visitor_address(forwarded, TRUSTED) == address


def test_without_trusted_proxies_it_is_the_peer() -> None:
    assert visitor_address("203.0.113.5, 127.0.0.1", ()) == "127.0.0.1"


def test_what_is_no_network() -> None:
    with pytest.raises(UsageError, match="--trusted-proxy nginx cannot be"):
        trusted_network("nginx")


def test_the_origin_of_a_service() -> None:
    for host, shown in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", socket.gethostname())):
        with socket.create_server((host, 0)) as listener:
            assert origin_of(listener) == f"http://{shown}:{listener.getsockname()[1]}"
    if socket.has_ipv6:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            assert origin_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
