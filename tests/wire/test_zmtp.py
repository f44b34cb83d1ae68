"""What libzmq says, taken apart, and what is no ZMTP, refused."""

from __future__ import annotations

import socket

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.errors import ProtocolError
from moorage.wire.zmtp import MOST_BYTES, FirstMessage, greeting, message, ready

frames = st.lists(st.binary(max_size=400), min_size=1, max_size=12)


def in_pieces(data, cuts):
    """Return ``data`` in pieces that end where ``cuts`` says."""
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def greeted():
    listener = FirstMessage()
    assert listener.reply_greeting() == greeting() + ready()
    return listener


@settings(deadline=None)
@given(frames, st.lists(st.integers(0, 3000), max_size=10))
def test_a_message_in_pieces_of_any_size(frames, cuts):
    listener = greeted()
    for piece in in_pieces(greeting() + ready(b"DEALER") + message(frames), cuts):
        assert listener.frames is None
        listener.receive(piece)
    assert listener.frames == tuple(frames)
    listener.receive(b"more, which is dropped")
    assert listener.frames == tuple(frames)


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_libzmq_understands_and_is_understood(kind):
    listener = FirstMessage()
    with socket.create_server(("127.0.0.1", 0)) as server, zmq.Context() as context:
        server.settimeout(20)
        with context.socket(kind) as peer:
            peer.linger = 0
            peer.connect(f"tcp://127.0.0.1:{server.getsockname()[1]}")
            peer.send_multipart([b"a", b"", b"x" * 1000])
            line, _ = server.accept()
            with line:
                line.settimeout(20)
                line.sendall(listener.reply_greeting())
                while listener.frames is None:
                    listener.receive(line.recv(7))
                envelope = () if kind == zmq.DEALER else (b"",)
                assert listener.frames == (*envelope, b"a", b"", b"x" * 1000)
                line.sendall(message([*envelope, b"answer", b"y" * 300]))
                assert peer.poll(20_000)
                assert peer.recv_multipart() == [b"answer", b"y" * 300]


@pytest.mark.parametrize(
    "says",
    [
        b"GET / HTTP/1.0",
        b"\x00",
        b"\xff" + bytes(9),
        b"\xff" + bytes(8) + b"\x7f\x02",
        greeting().replace(b"NULL\0", b"CURVE"),
        greeting() + message([b"before READY"]),
        greeting() + ready() + b"\x08\x00",
        greeting() + ready() + b"\x02" + b"\xff" * 8,
        greeting() + ready() + b"\x01\x01x" * MOST_BYTES,
        greeting() + b"\x04\x04PING" * MOST_BYTES,
    ],
)
def test_what_is_no_zmtp_or_too_much_is_refused(says):
    listener = greeted()
    with pytest.raises(ProtocolError):
        listener.receive(says)
    assert listener.frames is None


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5), st.booleans())
def test_any_bytes_are_taken_or_refused(data, cuts, polite):
    listener = greeted()
    try:
        for piece in in_pieces((greeting() + ready() if polite else b"") + data, cuts):
            listener.receive(piece)
    except ProtocolError:
        pass
    assert len(listener._buffer) <= MOST_BYTES


def test_a_message_before_the_greeting_is_refused():
    listener = FirstMessage()
    assert listener.receive(greeting() + ready(b"DEALER")) is None
    with pytest.raises(ProtocolError):
        listener.receive(message([b"a"]))


def test_commands_of_newer_versions_are_passed_over():
    listener = greeted()
    listener.receive(greeting() + ready() + b"\x04\x07\x04PING\x00\x00" + message([b"a"]))
    assert listener.frames == (b"a",)
