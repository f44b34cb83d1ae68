"""One request under way."""

from __future__ import annotations

import pytest

from moorage.kernel.request import Request, finished, give_up_idle
from moorage.wire.messages import Header, Message

pytestmark = pytest.mark.anyio

ASKED = Message("shell", Header("1", "execute_request"))
REPLY = Message("shell", Header("2", "execute_reply"))


@pytest.mark.parametrize("idle_first", [True, False])
async def test_it_is_done_when_reply_and_idle_are_there_in_whichever_order(idle_first):
    request = Request(ASKED, None, None)
    for half in ("idle", "reply") if idle_first else ("reply", "idle"):
        request.settle()
        assert not request.done.done()
        if half == "idle":
            request.settle(idle=True)
        else:
            request.reply.set_result(REPLY)
    request.settle()
    assert await request.done is REPLY


async def test_failing_it_ends_every_wait_and_changes_nothing_that_is_done():
    request = Request(ASKED, None, None)
    request.reply.set_result(REPLY)
    request.fail(OSError("gone"))
    assert finished(request.reply)
    assert not finished(request.done)
    with pytest.raises(OSError, match="gone"):
        await request.done


async def test_an_idle_that_was_missed_is_waited_for_only_until_there_is_a_reply():
    request = Request(ASKED, None, None)
    give_up_idle(request)
    assert not request.done.done()
    request.reply.set_result(REPLY)
    give_up_idle(request)
    assert request.done.done()
    request.settle(idle=True)  # after all
