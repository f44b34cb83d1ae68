"""Which hosts may be reached: names, ports, addresses; and what is tried to get past that."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.egress import (
    MOST,
    NOWHERE,
    Host,
    egress_list,
    host_of,
    is_public,
    may_open,
    translated,
)

LIST = egress_list(
    ["pypi.org,*.pythonhosted.org", "Mirror.Example:8080", "10.0.0.5:3141", "[2001:db8::1]:443"]
)


def allowed(text: str, port: int = 443) -> bool:
    """Tell whether a host is allowed; what is no host is not."""
    try:
        return LIST.allows(host_of(text), port)
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("pypi.org", 443),
        ("pypi.org", 80),
        ("PyPI.org.", 443),
        ("files.pythonhosted.org", 443),
        ("a.b.pythonhosted.org", 80),
        ("mirror.example", 8080),
        ("10.0.0.5", 3141),
        ("[2001:DB8:0::1]", 443),
    ],
)
def test_what_is_named_is_allowed(host: str, port: int) -> None:
    assert allowed(host, port)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("pypi.org", 22),
        ("pypi.org.evil.com", 443),
        ("evil-pypi.org", 443),
        ("evilpypi.org", 443),
        ("www.pypi.org", 443),
        ("org", 443),
        ("pythonhosted.org", 443),
        ("evilpythonhosted.org", 443),
        (".pythonhosted.org", 443),
        ("..pythonhosted.org", 443),
        ("files.pythonhosted.org.evil.com", 443),
        ("pypi.org..", 443),
        ("pypi.org@evil.com", 443),
        ("evil.com#pypi.org", 443),
        ("evil.com\0.pypi.org", 443),
        ("*.pythonhosted.org", 443),
        ("pypi.org%2eevil.com", 443),
        ("pypi\u3002org", 443),
        ("\uff30yPI.org", 443),
        ("mirror.example", 443),
        ("10.0.0.5", 443),
        ("10.0.0.05", 3141),
        ("10.0.5", 3141),
        ("0xa.0.0.5", 3141),
        ("0xa000005", 3141),
        ("167772165", 3141),
        ("012.0.0.5", 3141),
        ("[::ffff:10.0.0.5]", 3141),
        ("[2001:db8::1%eth0]", 443),
        ("127.0.0.1", 443),
        ("127.1", 443),
        ("0x7f.1", 443),
        ("[::1]", 443),
        ("[::ffff:127.0.0.1]", 443),
        ("localhost", 443),
        ("", 443),
        (".", 443),
        ("-", 443),
        (f"{'a' * 64}.pythonhosted.org", 443),
        ("a." * 120 + "pythonhosted.org", 443),
    ],
)
def test_nothing_else_is(host: str, port: int) -> None:
    assert not allowed(host, port)


def test_any_is_any_name_with_a_dot_and_no_address() -> None:
    every = egress_list(["*"])
    assert every.allows(host_of("example.org"), 443)
    assert every.allows(host_of("a.b.example.org"), 80)
    for host in ("localhost", "intranet", "8.8.8.8", "[2606:4700::1111]"):
        assert not every.allows(host_of(host), 443)
    assert not every.allows(host_of("example.org"), 25)
    assert egress_list(["*:25"]).allows(host_of("example.org"), 25)


def test_none_is_nothing() -> None:
    assert not egress_list([])
    assert egress_list(["none"]) == egress_list(["none", " none "]) == NOWHERE
    assert not NOWHERE.allows(host_of("pypi.org"), 443)


def test_names_of_other_scripts_are_those_of_the_wire() -> None:
    assert egress_list(["bücher.example"]).allows(host_of("xn--bcher-kva.example"), 443)
    assert egress_list(["*.BÜCHER.example"]).allows(host_of("a.xn--bcher-kva.example"), 443)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("none,pypi.org", "none stands alone"),
        ("https://pypi.org", "https://pypi.org is no host"),
        ("pypi.org/simple", "is no host"),
        ("user@pypi.org", "is no host"),
        ("pypi.*", "is no host"),
        ("*pypi.org", "is no host"),
        ("a.*.org", "is no host"),
        ("*.*.org", "is no host"),
        ("*.10.0.0.5", "is no host"),
        ("10.0.0.0/8", "is no host"),
        ("0x7f.1", "is no host"),
        ("[::1", "is no host"),
        ("fe80::1%eth0", "is no host"),
        ("straße.example", "is written otherwise by different programs"),
        ("pypi.org:0", "is no port"),
        ("pypi.org:65536", "is no port"),
        ("pypi.org:https", "is no port"),
        ("pypi.org:", "is no port"),
        ("pypi.org,,a.org", "is no host"),
    ],
)
def test_what_cannot_be_is_refused(word: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        egress_list([word])


def test_a_list_says_what_it_allows() -> None:
    assert LIST.told == "pypi.org, *.pythonhosted.org, mirror.example:8080, 10.0.0.5:3141, [2001:db8::1]:443"
    assert egress_list(["*"]).told == "any public host"
    assert egress_list(["*:8443"]).told == "any public host:8443"
    assert LIST.refusal(host_of("evil.com"), 443) == (
        "evil.com:443 cannot be reached from here, only pypi.org, *.pythonhosted.org, mirror.example:8080, "
        "10.0.0.5:3141, [2001:db8::1]:443; where no port is named, at the ports 80 and 443"
    )
    assert egress_list(["*"]).refusal(host_of("evil.com"), 25) == (
        "evil.com:25 cannot be reached from here, only any public host; where no port is named, at the ports "
        "80 and 443"
    )
    assert (
        NOWHERE.refusal(host_of("evil.com"), 25)
        == "evil.com:25 cannot be reached from here, nor any other host"
    )
    assert egress_list(["::1"]).refusal(IPv6Address("::2"), 443).startswith("[::2]:443 cannot")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254",
        "172.16.0.1", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
        "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
        "2002:808:808::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "151.101.0.223", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_that_are(address: str) -> None:
    assert is_public(ip_address(address))


def test_an_address_of_ipv4_may_be_behind_one_of_ipv6() -> None:
    assert translated(ip_address("64:ff9b::7f00:1")) == ip_address("127.0.0.1")
    for text in ("127.0.0.1", "2606:4700::1111", "::ffff:127.0.0.1"):
        assert translated(ip_address(text)) == ip_address(text)


def test_an_address_that_is_not_public_is_reached_where_it_is_named() -> None:
    assert LIST.reaches(IPv4Address("10.0.0.5"), 3141)
    assert LIST.names(IPv4Address("10.0.0.5"), 3141)
    assert not LIST.reaches(IPv4Address("10.0.0.5"), 443)
    assert not LIST.reaches(IPv4Address("10.0.0.6"), 3141)
    assert not LIST.reaches(IPv6Address("::ffff:10.0.0.5"), 3141)
    assert LIST.reaches(IPv4Address("8.8.8.8"), 443)
    assert not LIST.names(IPv4Address("8.8.8.8"), 443)


@given(st.text(max_size=300))
def test_whatever_is_a_host_is_one_in_plain_letters(text: str) -> None:
    try:
        found: Host = host_of(text)
    except ValueError:
        return
    assert str(found).isascii()
    assert host_of(f"[{found}]" if isinstance(found, IPv6Address) else str(found)) == found


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(0, 100))
def test_no_visitor_takes_all_of_it(turns: list[int], room: int) -> None:
    """Visitors open one connection after the other, in any order: one that has none gets one at last."""
    own = dict.fromkeys(range(31), 0)
    for visitor in turns * 40:
        if may_open(own[visitor], room - sum(own.values())):
            own[visitor] += 1
    free = room - sum(own.values())
    assert free >= 0
    assert max(own.values()) <= MOST
    if len(set(turns)) * 2 < room:
        assert may_open(0, free)
