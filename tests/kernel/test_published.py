"""What kernels say they have published, held against what arrived."""

from __future__ import annotations

import pytest

from kernel.asked import message, missing
from moorage.kernel.published import MANY, Counts
from moorage.kernel.request import Request
from moorage.wire.messages import Header, Message

pytestmark = pytest.mark.anyio


def answered(text):
    return {"user_expressions": {"published": {"status": "ok", "data": {"text/plain": text}}}}


def flooded(characters, displays):
    counts = Counts("it")
    for _ in range(MANY):
        counts.handle(message("a", "status"))
    counts.handle(message("a", text="x" * characters))
    for _ in range(displays):
        counts.handle(message("a", "display_data"))
    return counts


async def test_all_characters_and_displays_are_there(subscribed, by_hand):
    counts = flooded(10, 2)
    assert await missing(counts, subscribed, by_hand, **answered("(10, 2)")) == (0, True)


async def test_what_is_missing_is_found_once(subscribed, by_hand):
    counts = flooded(10, 2)
    assert await missing(counts, subscribed, by_hand, **answered("(14, 3)")) == (5, True)
    for _ in range(MANY):
        counts.handle(message("a", text="x"))
    assert (await missing(counts, subscribed, by_hand, **answered(f"({14 + MANY}, 3)")))[0] == 0


async def test_after_a_few_messages_the_kernel_is_not_asked(subscribed, by_hand):
    counts = Counts("it")
    counts.handle(message("a", text="x"))
    assert await missing(counts, subscribed, by_hand) == (0, False)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"user_expressions": None},
        {"user_expressions": {"published": {"status": "error", "ename": "AttributeError"}}},
        *[answered(text) for text in ("", "7", "(1, 2, 3)", "('9', '9')", "(" * 5000, 7, None)],
    ],
)
async def test_an_answer_that_cannot_be_read_tells_nothing(subscribed, by_hand, reply):
    assert await missing(flooded(10, 2), subscribed, by_hand, **reply) == (0, True)


class Asked:
    """A client whose kernel answers each question at once, with the next of ``answers``."""

    def __init__(self, *answers):
        self.answers = [*answers]
        self.questions = 0

    def request(self, channel, question, receive=None):
        self.questions += 1
        request = Request(Message("shell", Header("q", "execute_request")), receive, None)
        if receive is not None:
            receive(message("s", "status", execution_state="idle"))
        reply = Message("shell", Header("r", "execute_reply"), content=answered(self.answers.pop(0)))
        request.reply.set_result(reply)
        request.settle(idle=True)
        return request


async def printed(counts, client, characters):
    await counts.begin(client)
    for _ in range(MANY):
        counts.handle(message("a", text=""))
    counts.handle(message("a", text="x" * characters))
    return await counts.missing(client)


async def test_what_was_published_and_dropped_before_a_request_is_not_held_against_it():
    counts = Counts("it", shared=True)
    client = Asked("(700, 3)", "(710, 3)", "(900, 3)", "(914, 4)", "(914, 4)", "(915, 4)")
    assert await printed(counts, client, 10) == 0
    assert await printed(counts, client, 10) == 5
    assert await printed(counts, client, 1) == 0


async def test_a_kernel_that_does_not_count_is_asked_once():
    counts, client = Counts("it", shared=True), Asked("")
    assert [await printed(counts, client, 10) for _ in range(2)] == [0, 0]
    assert client.questions == 1


async def test_a_kernel_of_our_own_is_asked_afterwards_alone():
    client = Asked("(10, 0)")
    assert await printed(Counts("it"), client, 10) == 0
    assert client.questions == 1
