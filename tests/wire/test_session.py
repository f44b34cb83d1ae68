from __future__ import annotations

import itertools

import pytest

from moorage.errors import ProtocolError
from moorage.wire.codec import Signer
from moorage.wire.messages import Header, execute_request, input_reply
from moorage.wire.session import Session

NOW = "2026-01-02T03:04:05.000006Z"


def session(key: bytes = b"secret", **options) -> Session:
    numbers = itertools.count(1)
    return Session(Signer(key), "client-1", lambda: f"client-1-{next(numbers)}", **options)


def test_a_request_carries_a_new_id_and_the_session():
    ours = session()
    first = ours.request("shell", *execute_request("1"), date=NOW)
    second = ours.request("control", "interrupt_request", {}, date=NOW, metadata={"a": 1}, buffers=[b"x"])
    assert first.header == Header("client-1-1", "execute_request", "client-1", "moorage", NOW, "5.3")
    assert first.content["code"] == "1"
    assert first.parent_header == {}
    assert (second.channel, second.header.msg_id) == ("control", "client-1-2")
    assert (second.metadata, second.buffers) == ({"a": 1}, (b"x",))


def test_an_answer_carries_the_header_of_its_parent():
    ours = session()
    asked = ours.request("stdin", "input_request", {"prompt": "?", "password": False}, date=NOW)
    for parent in (asked, asked.header):
        answer = ours.request("stdin", *input_reply("x"), date=NOW, parent=parent)
        assert answer.parent_id == asked.header.msg_id
        assert answer.parent_header["date"] == NOW


def test_what_is_packed_is_received():
    message = session().request("shell", *execute_request("1 + 1"), date=NOW, buffers=(b"x",))
    assert session().receive("shell", session().pack(message)) == message


@pytest.mark.parametrize("second", ["shell", "iopub"])
def test_a_replay_is_rejected_on_every_channel(second):
    ours, theirs = session(), session()
    frames = theirs.pack(theirs.request("shell", "status", {}, date=NOW))
    ours.receive("shell", frames)
    with pytest.raises(ProtocolError, match="twice"):
        ours.receive(second, [b"another topic", *frames])


def test_a_forgery_does_not_block_the_message_it_imitates():
    ours, theirs = session(), session()
    frames = theirs.pack(theirs.request("shell", "status", {}, date=NOW))
    with pytest.raises(ProtocolError, match="signature"):
        ours.receive("shell", [*frames[:-1], b'{"forged":1}'])
    assert ours.receive("shell", frames).msg_type == "status"


def test_the_memory_for_replays_is_bounded_and_the_oldest_goes_first():
    ours, theirs = session(remember=3), session()
    packed = [theirs.pack(theirs.request("shell", "status", {}, date=NOW)) for _ in range(5)]
    for frames in packed:
        ours.receive("iopub", frames)
    for frames in packed[2:]:
        with pytest.raises(ProtocolError):
            ours.receive("iopub", frames)
    ours.receive("iopub", packed[0])
    assert len(ours._seen) == len(ours._order) == 3


def test_without_a_key_replays_cannot_be_recognised():
    ours = session(b"")
    frames = ours.pack(ours.request("shell", "status", {}, date=NOW))
    assert ours.receive("shell", frames) == ours.receive("shell", frames)


def test_the_key_is_in_no_repr():
    assert "secret" not in repr(session())
