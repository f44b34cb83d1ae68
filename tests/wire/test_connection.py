from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.errors import ProtocolError
from moorage.wire.connection import PORTS, SOCKETS, ConnectionInfo, Endpoint, is_complete

quick = settings(max_examples=200, deadline=None)
FILE = {
    "shell_port": 50001,
    "iopub_port": 50002,
    "stdin_port": 50003,
    "control_port": 50004,
    "hb_port": 50005,
    "ip": "127.0.0.1",
    "key": "5f1b9c3a",
    "transport": "tcp",
    "signature_scheme": "hmac-sha256",
    "kernel_name": "python3",
}
ports = st.integers(1, 65535)
records = st.builds(
    ConnectionInfo,
    transport=st.sampled_from(["tcp", "ipc"]),
    ip=st.text(min_size=1),
    key=st.binary(),
    signature_scheme=st.text(min_size=1),
    kernel_name=st.text(),
    **dict.fromkeys(PORTS, ports),
)
values = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
)
sensible = st.sampled_from(["tcp", "ipc", "127.0.0.1", "\ud800", "50001", 50001, 0, -1, "²", ""])


def test_a_connection_file_is_read_and_written():
    info = ConnectionInfo.from_dict(FILE)
    assert info.key == b"5f1b9c3a"
    assert (info.shell_port, info.hb_port) == (50001, 50005)
    assert info.to_dict() == FILE


@quick
@given(records)
def test_a_record_survives_a_connection_file(info):
    assert ConnectionInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info


@quick
@given(
    st.dictionaries(st.text(), values)
    | st.fixed_dictionaries({}, optional=dict.fromkeys(FILE, sensible | values))
)
def test_any_object_is_a_record_or_a_protocol_error(found):
    complete = is_complete(found)
    try:
        info = ConnectionInfo.from_dict(found)
    except ProtocolError as error:
        assert error.what  # noqa: PT017 - either end is right
    else:
        assert complete
        assert ConnectionInfo.from_dict(info.to_dict()) == info
        info.url("shell")


CURVE = {
    "curve_publickey": "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    "curve_secretkey": "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
}


def test_curve_keys_are_read_and_written():
    info = ConnectionInfo.from_dict({**FILE, **CURVE})
    assert info.to_dict() == {**FILE, **CURVE}
    assert ConnectionInfo.from_dict({**FILE, **{name: key.encode() for name, key in CURVE.items()}}) == info
    assert CURVE["curve_secretkey"] not in repr(info)
    assert "curve_publickey" not in ConnectionInfo.from_dict(FILE).to_dict()


@pytest.mark.parametrize(
    "odd",
    [
        {**CURVE, "curve_publickey": "short"},
        {**CURVE, "curve_secretkey": 7},
        {**CURVE, "curve_publickey": b"\xff" * 40},
        {"curve_secretkey": CURVE["curve_secretkey"]},
    ],
)
def test_odd_curve_keys_are_refused(odd):
    with pytest.raises(ProtocolError, match="curve_"):
        ConnectionInfo.from_dict({**FILE, **odd})


def test_ports_may_be_strings_and_defaults_left_out():
    info = ConnectionInfo.from_dict({name: str(FILE[name]) for name in PORTS})
    assert (info.transport, info.ip, info.key, info.signature_scheme) == (
        "tcp",
        "127.0.0.1",
        b"",
        "hmac-sha256",
    )
    assert info.stdin_port == 50003


def test_unknown_keys_are_ignored_and_a_key_may_be_bytes():
    assert ConnectionInfo.from_dict({**FILE, "key": b"raw", "jupyter_session": "x.ipynb"}).key == b"raw"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("shell_port", 0, "out of range"),
        ("hb_port", 65536, "out of range"),
        ("iopub_port", None, "no port number"),
        ("iopub_port", True, "no port number"),
        ("stdin_port", "12x", "no port number"),
        ("control_port", -1, "out of range"),
        ("transport", "udp", "neither"),
        ("ip", 5, "no string"),
        ("key", 5, "no string"),
        ("key", "\ud800", "no text"),
    ],
)
def test_what_is_odd_is_named(name, value, why):
    with pytest.raises(ProtocolError, match=why) as caught:
        ConnectionInfo.from_dict({**FILE, name: value})
    assert name in str(caught.value)


@pytest.mark.parametrize("name", PORTS)
def test_what_is_missing_is_named(name):
    with pytest.raises(ProtocolError, match=f"{name}.*missing"):
        ConnectionInfo.from_dict({other: value for other, value in FILE.items() if other != name})


def test_ipc_takes_any_positive_number_and_needs_a_path():
    info = ConnectionInfo.from_dict({**FILE, "transport": "ipc", "ip": "/run/k/socket", "shell_port": 70000})
    assert info.url("shell") == "ipc:///run/k/socket-70000"
    assert info.url("hb") == "ipc:///run/k/socket-50005"
    with pytest.raises(ProtocolError, match="ip "):
        ConnectionInfo.from_dict({**FILE, "transport": "ipc", "ip": ""})


@pytest.mark.parametrize(
    ("ip", "url"),
    [
        ("127.0.0.1", "tcp://127.0.0.1:50002"),
        ("::1", "tcp://[::1]:50002"),
        ("[::1]", "tcp://[::1]:50002"),
        ("localhost", "tcp://localhost:50002"),
    ],
)
def test_urls(ip, url):
    assert ConnectionInfo.from_dict({**FILE, "ip": ip}).url("iopub") == url


def test_complete_means_five_ports_that_are_not_zero():
    assert is_complete(FILE)
    assert is_complete(dict.fromkeys(PORTS, "5"))
    assert not is_complete({})
    for name in PORTS:
        for odd in (0, "0", None, "x", -1, False):
            assert not is_complete({**FILE, name: odd})


def test_the_key_is_in_no_repr():
    assert "5f1b9c3a" not in repr(ConnectionInfo.from_dict(FILE))


@quick
@given(records, st.sampled_from(SOCKETS))
def test_a_url_is_that_of_the_endpoint(info, channel):
    assert info.endpoint(channel).url == info.url(channel)


def test_an_endpoint_is_spelled_as_what_it_is():
    assert Endpoint("tcp", "::1", 80).url == "tcp://[::1]:80"
    assert Endpoint("ipc", "/r/k", 3).url == "ipc:///r/k-3"
    assert Endpoint("ipc", "/r/server", 0).path == "/r/server"


def test_a_record_moves_to_where_its_kernel_is_found():
    info = ConnectionInfo.from_dict(FILE)
    assert info.moved({name: info.endpoint(name) for name in SOCKETS}) == info
    found = info.moved({name: Endpoint("ipc", "/r/k", at) for at, name in enumerate(SOCKETS, 1)})
    assert (found.transport, found.ip, found.shell_port, found.hb_port) == ("ipc", "/r/k", 1, 5)
    assert (found.key, found.kernel_name) == (info.key, info.kernel_name)
    scattered = {name: Endpoint("tcp", f"127.0.0.{at}", 1) for at, name in enumerate(SOCKETS, 1)}
    with pytest.raises(ProtocolError, match="at one address"):
        info.moved(scattered)
