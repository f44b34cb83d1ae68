"""The end of output that trails, with a kernel spoken by hand."""

from __future__ import annotations

import asyncio
from itertools import repeat

import pytest

from moorage.kernel.late_output import LateOutput

pytestmark = pytest.mark.anyio
MARK = LateOutput("print {}", quiet=0.05)


async def answered(by_hand, status="ok"):
    """Answer the next request; return it and the code it held."""
    async with asyncio.timeout(10):
        request = await by_hand.hear()
    await by_hand.reply(request, request.msg_type.replace("request", "reply"), status=status)
    await by_hand.idle(request)
    return request, request.content.get("code", "")


async def said(by_hand, text, parent):
    await by_hand.publish("stream", parent, name="stdout", text=text)


@pytest.fixture
async def heard(by_hand, client):
    """Have a client that hears iopub for sure."""
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(client.ready())
        while not ready.done():
            await answered(by_hand)
            await asyncio.wait([ready], timeout=0.05)
    return []


def texts(heard):
    return [message.content["text"] for message in heard if message.msg_type == "stream"]


async def ended(late_output, by_hand, client, heard, *, words=(), status="ok"):
    """Answer whatever is asked, with a word each while there are any, until the trail has ended."""
    asked = []

    async def answering():
        more = iter(words)
        while True:
            request, _ = await answered(by_hand, status)
            asked.append(request.msg_type)
            if (word := next(more, None)) is not None:
                await said(by_hand, word, request)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(answering())
        async with asyncio.timeout(30):
            await late_output.end(client, heard.append)
        task.cancel()
    return asked


async def test_what_is_said_in_the_name_of_the_question_is_heard_until_all_is_quiet(by_hand, client, heard):
    await ended(LateOutput(), by_hand, client, heard, words=("one", "two"))
    assert texts(heard) == ["one", "two"]


async def test_a_mark_is_waited_for_however_long_it_takes_and_not_shown(by_hand, client, heard):
    async with asyncio.TaskGroup() as group:
        end = group.create_task(MARK.end(client, heard.append))
        request, code = await answered(by_hand)
        assert request.content["silent"]
        for word in ("one", "two"):
            await asyncio.sleep(0.3)  # the kernel's own time, longer than quiet
            assert not end.done()
            await said(by_hand, word, request)
        await said(by_hand, "three" + code.removeprefix("print ") + "\n", request)
        await end
    assert texts(heard) == ["one", "two", "three"]


async def test_where_the_mark_cannot_be_printed_quiet_is_waited_for(by_hand, client, heard):
    asked = await ended(MARK, by_hand, client, heard, words=("error", "late"), status="error")
    assert asked[:2] == ["execute_request", "kernel_info_request"]
    assert texts(heard) == ["error", "late"]


async def test_a_mark_that_is_swallowed_is_given_up(by_hand, client, heard):
    asked = await ended(MARK, by_hand, client, heard)
    assert asked[:2] == ["execute_request", "kernel_info_request"]
    assert texts(heard) == []


async def test_output_without_end_is_not_waited_for_for_ever(by_hand, client, heard):
    await ended(LateOutput(most=0.5), by_hand, client, heard, words=repeat("more"))
    assert texts(heard)
