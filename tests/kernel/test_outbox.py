"""What a client sends, and when."""

from __future__ import annotations

from itertools import count

import pytest

from moorage.kernel.outbox import Outbox
from moorage.wire import messages
from moorage.wire.codec import Signer
from moorage.wire.session import Session

ASK, RUN = messages.kernel_info_request(), messages.execute_request("1")


class Line:
    """Takes note of what is sent."""

    def __init__(self):
        self.session = Session(Signer(b"k"), "kernel", lambda: "k")
        self.sent = []

    def send(self, channel, frames):
        message = self.session.receive(channel, [bytes(frame) for frame in frames])
        self.sent.append((channel, message.msg_type, message.header.msg_id))


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def outbox(line):
    ids = count()
    return Outbox(Session(Signer(b"k"), "client", lambda: f"c{next(ids)}"), line)


def test_what_is_sent_is_signed_and_sent_at_once(outbox, line):
    message = outbox.send("shell", RUN)
    assert line.sent == [("shell", "execute_request", message.header.msg_id)]


def test_what_is_held_back_is_sent_in_order_once_and_what_goes_ahead_before_it(outbox, line):
    outbox.hold()
    first, second = outbox.send("shell", RUN), outbox.send("control", ASK)
    ahead = outbox.send("shell", ASK, ahead=True)
    outbox.release()
    outbox.release()
    last = outbox.send("shell", RUN)
    assert [each[2] for each in line.sent] == [
        message.header.msg_id for message in (ahead, first, second, last)
    ]


def test_what_is_held_back_waits_for_the_process_that_answers(outbox, line):
    sent = outbox.send("shell", RUN)
    outbox.hold()
    ahead, held = outbox.send("shell", ASK, ahead=True), outbox.send("shell", RUN)
    outbox.hold()
    assert [outbox.holds(message) for message in (sent, ahead, held)] == [False, False, True]
    outbox.release()
    assert not outbox.holds(held)
    assert line.sent[-1] == ("shell", "execute_request", held.header.msg_id)
