"""What kernels say they have published, held against what arrived."""

from __future__ import annotations

import asyncio

import pytest

from moorage.kernel.published import MANY, Counts, Numbers
from moorage.wire.messages import Header, Message

pytestmark = pytest.mark.anyio


def message(msg_id, msg_type="stream", channel="iopub", **content):
    return Message(channel, Header(msg_id, msg_type), content=content)


async def missing(published, client, by_hand, **reply):
    """Ask, and have the kernel answer the question if one is asked."""
    asking = asyncio.ensure_future(published.missing(client))
    hearing = asyncio.ensure_future(by_hand.hear())
    await asyncio.wait([asking, hearing], timeout=60, return_when=asyncio.FIRST_COMPLETED)
    if hearing.done():
        request = hearing.result()
        await by_hand.idle(request)
        await by_hand.reply(request, request.msg_type.replace("request", "reply"), **reply)
    else:
        hearing.cancel()
    async with asyncio.timeout(60):
        return await asking, hearing.done() and not hearing.cancelled()


@pytest.fixture
async def subscribed(client, by_hand):
    await by_hand.sockets["iopub"].recv_multipart()
    return client


# -- numbers ---------------------------------------------------------------------------------------


async def test_every_number_is_there(subscribed, by_hand):
    numbers = Numbers()
    for n in range(3, 2 * MANY):
        numbers.handle(message(f"a-b_7_{n}"))
    numbers.handle(message(f"a-b_7_{2 * MANY + 1}", "execute_reply", "shell"))
    numbers.handle(message(f"a-b_7_{2 * MANY}", "status"))
    assert (await missing(numbers, subscribed, by_hand))[0] == 0


async def test_a_number_that_is_missing_is_found_once(subscribed, by_hand):
    numbers = Numbers()
    for n in range(2 * MANY):
        if n not in (700, 701):
            numbers.handle(message(f"a-b_7_{n}"))
    assert await missing(numbers, subscribed, by_hand) == (2, True)
    for n in range(2 * MANY, 4 * MANY):
        numbers.handle(message(f"a-b_7_{n}"))
    assert await missing(numbers, subscribed, by_hand) == (0, False)


async def test_after_a_few_messages_none_can_have_been_dropped(subscribed, by_hand):
    numbers = Numbers()
    for n in (1, 5):
        numbers.handle(message(f"a-b_7_{n}"))
    assert await missing(numbers, subscribed, by_hand) == (0, False)
    for n in range(6, 2 * MANY):
        numbers.handle(message(f"a-b_7_{n}"))
    assert await missing(numbers, subscribed, by_hand) == (0, False)


@pytest.mark.parametrize("name", ["{}", "x{}", "_{}", "a_{}x", "a_²{}", "a_" + "9" * 5000 + "{}"])
async def test_ids_without_numbers_tell_nothing(subscribed, by_hand, name):
    numbers = Numbers()
    for n in range(0, 2 * MANY, 2):
        numbers.handle(message(name.format(n)))
    assert await missing(numbers, subscribed, by_hand) == (0, False)


async def test_a_child_that_publishes_has_numbers_of_its_own(subscribed, by_hand):
    numbers = Numbers()
    for n in range(2 * MANY):
        numbers.handle(message(f"a-b_7_{n}"))
        if n % 100 == 0:
            numbers.handle(message(f"a-b_8_{n}"))
    assert await missing(numbers, subscribed, by_hand) == (0, False)


async def test_a_new_process_begins_anew(subscribed, by_hand):
    numbers = Numbers()
    numbers.handle(message("a-b_7_3"))
    numbers.forget()
    for n in range(90, 90 + 2 * MANY):
        numbers.handle(message(f"a-b_9_{n}"))
    assert await missing(numbers, subscribed, by_hand) == (0, False)


# -- counts ----------------------------------------------------------------------------------------


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
