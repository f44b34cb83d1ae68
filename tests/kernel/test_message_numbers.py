"""Numbers that message ids end in, and which of those that are missing were dropped."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kernel.asked import message, missing
from moorage.kernel.message_numbers import Numbers
from moorage.kernel.published import MANY
from moorage.wire.messages import Header, Message

pytestmark = pytest.mark.anyio


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


# -- kernels that others use, too ------------------------------------------------------------------


class Kernel:
    """Numbers what it publishes for two clients; each message arrives ``lag`` messages later than made."""

    def __init__(self, lag=0, skew=0.0):
        self.number, self.lag, self.skew, self.now = 0, lag, skew, 1e9
        self.numbers = Numbers({"ours"}, clock=lambda: self.now)

    def spend(self, count=1):
        self.number += count

    def publish(self, msg_type="stream", session="ours", **content):
        self.now += 1.0
        made = datetime.fromtimestamp(self.now - self.lag - self.skew, UTC).isoformat()
        header = Header(f"k_1_{self.number}", msg_type, date=made)
        self.number += 1
        self.numbers.handle(Message("iopub", header, {"session": session}, content=content))

    def run(self, count=MANY, session="ours", dropped=0):
        self.publish("status", session, execution_state="busy")
        for _ in range(count):
            self.publish(session=session)
        self.spend(dropped)
        self.publish(session=session)
        if session == "ours":
            self.numbers.handle(Message("shell", Header(f"k_1_{self.number}", "execute_reply")))
        self.spend()
        self.publish("status", session, execution_state="idle")

    def missing(self):
        return self.numbers._count()


@pytest.mark.parametrize("skew", [0.0, 3600.0, -3600.0])
async def test_what_is_dropped_is_found_where_much_was_under_way(skew):
    kernel = Kernel(skew=skew)
    kernel.run(3)
    kernel.lag = MANY
    kernel.run(2 * MANY, dropped=7)
    assert kernel.missing() == 7


async def test_what_is_dropped_is_found_when_all_has_arrived_before_more_is_made():
    kernel = Kernel()
    kernel.run(3)
    kernel.lag = MANY
    kernel.run(2 * MANY, "theirs")
    kernel.publish("status", execution_state="busy")
    kernel.spend(400)
    kernel.lag = 0
    kernel.now += 3600
    kernel.publish()
    assert kernel.missing() == 400


async def test_a_number_that_was_spent_on_nothing_is_not_missing_where_little_was_under_way():
    kernel = Kernel(lag=MANY // 2)
    kernel.run(2 * MANY, dropped=1)
    assert kernel.missing() == 0


async def test_what_is_dropped_of_others_is_not_ours():
    kernel = Kernel()
    kernel.run(3)
    kernel.lag = MANY
    kernel.run(2 * MANY, "theirs", dropped=400)
    kernel.run(3)
    assert kernel.missing() == 0


async def test_replies_to_others_are_not_missing():
    kernel = Kernel()
    kernel.run(3)
    kernel.lag = MANY
    kernel.publish("status", execution_state="busy")
    for _ in range(2 * MANY):
        kernel.publish()
    kernel.publish("status", "theirs", execution_state="busy")  # on control
    kernel.spend()
    kernel.publish()
    kernel.publish("status", "theirs", execution_state="idle")
    assert kernel.missing() == 0
    kernel.spend(3)
    kernel.publish()
    assert kernel.missing() == 3


async def test_messages_out_of_order_are_not_missing():
    kernel = Kernel()
    kernel.run(3)
    kernel.lag = MANY
    kernel.run(2 * MANY)
    passed_over = kernel.number
    kernel.spend(5)
    kernel.publish()
    for number in reversed(range(passed_over, passed_over + 5)):
        assert kernel.missing()
        kernel.number = number
        kernel.publish()
    assert kernel.missing() == 0


async def test_when_the_first_of_ours_is_dropped_it_is_found():
    kernel = Kernel()
    kernel.publish("status", "theirs", execution_state="busy")
    kernel.lag = MANY
    for _ in range(2 * MANY):
        kernel.publish(session="theirs")
    kernel.spend(40)  # the end of theirs, and our beginning
    kernel.publish()
    assert kernel.missing() == 40
