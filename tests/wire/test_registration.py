"""What a registration file says, in each of its forms."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.errors import ProtocolError
from moorage.wire.connection import PORTS
from moorage.wire.registration import Terms, asks_for_registration, completed

DOCS = Terms("docs", "127.0.0.1", 51587, b"secret", "kid")
POSIT = Terms("posit", "127.0.0.1", 51587, b"secret")
NUMBERS = dict(zip(PORTS, range(5001, 5006), strict=True))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["transport", "ip", "key", "kernel_id", "registration_ip", "registration_port", "handshake_port"]


@pytest.mark.parametrize("terms", [DOCS, POSIT])
def test_what_is_written_is_read_back(terms):
    assert Terms.from_dict(json.loads(json.dumps(terms.to_dict()))) == terms


def test_xeus_gets_a_string_and_ark_a_number():
    """xpython dies of a number ("type must be string, but is number"), ark of a string."""
    assert DOCS.to_dict()["registration_port"] == "51587"
    assert set(DOCS.to_dict()) >= {
        "ip",
        "key",
        "kernel_id",
        "registration_ip",
        "signature_scheme",
        "transport",
    }
    assert POSIT.to_dict()["registration_port"] == 51587
    assert set(POSIT.to_dict()) == {"ip", "key", "registration_port", "signature_scheme", "transport"}


@pytest.mark.parametrize(
    ("found", "dialect", "ip", "registration_ip"),
    [
        ({"registration_ip": "10.0.0.2", "registration_port": 51587}, "docs", "10.0.0.2", "10.0.0.2"),
        (
            {"ip": "127.0.0.1", "registration_ip": "10.0.0.2", "registration_port": "51587"},
            "docs",
            "127.0.0.1",
            "10.0.0.2",
        ),
        ({"kernel_id": "k", "ip": "127.0.0.2", "handshake_port": 51587}, "docs", "127.0.0.2", "127.0.0.2"),
        ({"ip": "127.0.0.2", "handshake_port": "51587"}, "posit", "127.0.0.2", "127.0.0.2"),
        ({"registration_port": 51587}, "posit", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_every_form_is_read(found, dialect, ip, registration_ip):
    assert asks_for_registration(found)
    terms = Terms.from_dict({"key": "secret", **found})
    assert (terms.dialect, terms.ip, terms.registration_ip) == (dialect, ip, registration_ip)
    assert (terms.registration_port, terms.key) == (51587, b"secret")


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"registration_port": 0},
        {"registration_port": 65536},
        {"registration_port": "x"},
        {"registration_port": True},
        {"registration_port": 5000, "transport": "ipc"},
        {"registration_port": 5000, "ip": 127},
        {"registration_port": 5000, "key": "\ud800"},
    ],
)
def test_what_makes_no_sense_is_refused(odd):
    with pytest.raises(ProtocolError):
        Terms.from_dict(odd)


def test_a_connection_file_asks_for_nothing():
    assert not asks_for_registration(NUMBERS)
    assert not asks_for_registration({})
    assert not asks_for_registration({**NUMBERS, "registration_port": 51587}), "ark: all five are classic"
    assert asks_for_registration({**dict.fromkeys(PORTS, 0), "registration_port": 51587})


def test_the_connection_file_that_takes_its_place():
    found = {**DOCS.to_dict(), "kernel_name": "ir", "jupyter_session": "a.ipynb", "shell_port": 0}
    info = DOCS.addresses({name: str(port) for name, port in NUMBERS.items()})
    written = completed(found, info)
    assert {name: written[name] for name in PORTS} == NUMBERS
    assert (written["key"], written["kernel_name"], written["jupyter_session"]) == ("secret", "ir", "a.ipynb")
    assert not asks_for_registration(written)


def test_an_ipv6_address_is_spelt_as_zeromq_wants_it():
    assert Terms("docs", "::1", 5000, b"k").url == "tcp://[::1]:5000"
    assert DOCS.url == "tcp://127.0.0.1:51587"


def test_no_repr_shows_the_key():
    assert "secret" not in repr(DOCS)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(), json_values | st.integers(1, 65535)))
def test_any_object_is_terms_or_refused(found):
    asks_for_registration(found)
    try:
        terms = Terms.from_dict(found)
    except ProtocolError:
        return
    assert 0 < terms.registration_port < 65536
    assert Terms.from_dict(terms.to_dict()).key == terms.key
