"""Whether a kernel hears and is heard, spoken by hand; tests/kernel/test_client.py has a client around it."""

from __future__ import annotations

import asyncio

import pytest

from moorage.kernel import readiness
from moorage.kernel.readiness import Readiness
from moorage.kernel.request import Request
from moorage.wire.messages import Header, Message

pytestmark = pytest.mark.anyio

REPLY = Message("shell", Header("r", "kernel_info_reply"), content={"implementation": "by hand"})


class Asked:
    """Takes note of what is asked."""

    def __init__(self):
        self.questions = asyncio.Queue()

    def __call__(self, channel, receive):
        message = Message(channel, Header("q", "kernel_info_request"), content={})
        request = Request(message, receive, None)
        self.questions.put_nowait(request)
        return request


@pytest.fixture
def asked(anyio_backend):
    return Asked()


async def begun(group, asked):
    ready = Readiness(asked)
    proof = group.create_task(ready.proven("shell"))
    return ready, proof, await asked.questions.get()


@pytest.mark.parametrize("by", ["status", "welcome"])
async def test_a_reply_and_a_broadcast_are_the_proof(asked, by):
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        ready, proof, question = await begun(group, asked)
        assert question.message.channel == "shell"
        ready.welcome() if by == "welcome" else question.receive(REPLY)
        assert not proof.done()
        question.reply.set_result(REPLY)
        assert (await proof)["implementation"] == "by hand"
    assert asked.questions.empty()
    assert question.done.cancelled()  # the idle may have come before it could be heard


async def test_a_reply_alone_is_none_and_the_kernel_is_asked_again(asked):
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        _, proof, first = await begun(group, asked)
        first.reply.set_result(REPLY)
        second = await asked.questions.get()
        second.receive(REPLY)
        second.reply.set_result(REPLY)
        await proof


async def test_one_that_does_not_answer_is_asked_again_and_a_late_answer_counts_for_nothing(
    asked, monkeypatch
):
    monkeypatch.setattr(readiness, "_ASK_FIRST_AGAIN", 0.01)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        ready, proof, _ = await begun(group, asked)
        ready.welcome()
        (await asked.questions.get()).reply.set_result(REPLY)
        await proof


async def test_an_earlier_proof_proves_nothing_of_another_process(asked):
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        ready, proof, first = await begun(group, asked)
        ready.welcome()
        first.reply.set_result(REPLY)
        await proof
        again = group.create_task(ready.proven("shell"))
        (await asked.questions.get()).reply.set_result(REPLY)
        await asked.questions.get()
        assert not again.done()
        again.cancel()
