"""One conversation: with a kernel spoken by hand, and with ipykernel."""

from __future__ import annotations

import asyncio
import math

import pytest

from moorage.errors import KernelDied, MoorageError
from moorage.kernel.launch import launch
from moorage.kernel.message_numbers import Numbers
from moorage.kernel.published import MANY
from moorage.kernel.request import LOST
from moorage.kernel.zmq_client import zmq_client
from moorage.wire import messages

pytestmark = pytest.mark.anyio
INFO = messages.kernel_info_request()


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def python(anyio_backend):
    async with launch("python3") as kernel:
        yield kernel.client


async def soon(awaitable):
    async with asyncio.timeout(60):
        return await awaitable


def text(result):
    return "".join(output.get("text", "") for output in result.outputs)


# -- by hand ---------------------------------------------------------------------------------------


async def finish(kernel, request, *, order):
    for step in order:
        if step == "reply":
            await kernel.reply(request, "execute_reply", execution_count=1)
        else:
            await kernel.idle(request)


@pytest.mark.parametrize("order", [("reply", "idle"), ("idle", "reply")])
async def test_a_request_is_done_when_reply_and_idle_are_there(client, by_hand, order):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        await finish(by_hand, request, order=order)
    assert running.result().status == "ok"


async def soon_subscribed(client, by_hand):
    """Get the client ready, which proves its subscription."""
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(soon(client.ready()))

        async def answer():
            while True:
                request = await by_hand.hear()
                await by_hand.idle(request)
                await by_hand.reply(request, "kernel_info_reply", banner="hand")

        answering = group.create_task(answer())
        info = await ready
        answering.cancel()
    assert info["banner"] == "hand"


async def test_a_reply_without_any_status_is_no_proof(client, by_hand):
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(soon(client.ready()))
        for _ in range(3):
            request = await soon(by_hand.hear())
            await by_hand.reply(request, "kernel_info_reply")
        request = await soon(by_hand.hear())
        assert not ready.done()
        await by_hand.idle(request)
        await by_hand.reply(request, "kernel_info_reply")
        await ready


async def test_a_welcome_is_proof(client, by_hand):
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(soon(client.ready()))
        request = await soon(by_hand.hear())
        await soon(by_hand.sockets["iopub"].recv())  # the subscription
        await by_hand.publish("iopub_welcome", subscription="")
        await by_hand.reply(request, "kernel_info_reply")
        await ready


async def test_a_request_that_was_lost_is_asked_again(client, by_hand):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(soon(client.ready()))
        await soon(by_hand.hear())  # and forgotten, as when a kernel is restarted
        request = await soon(by_hand.hear())
        await by_hand.idle(request)
        await by_hand.reply(request, "kernel_info_reply")
        await ready


async def test_replies_that_come_twice_count_once(client, by_hand):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        frames = await by_hand.reply(request, "execute_reply", execution_count=1)
        await by_hand.sockets["shell"].send_multipart(frames)  # a replay
        await by_hand.reply(request, "execute_reply", execution_count=2)
        await by_hand.idle(request)
        await by_hand.idle(request)
    assert running.result().execution_count == 1
    assert client.rejected == 1


async def test_messages_with_odd_parents_disturb_nobody(client, by_hand):
    await soon_subscribed(client, by_hand)
    heard = []
    client.listen(heard.append)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        await by_hand.publish("stream", None, name="stdout", text="nobody's")
        await by_hand.sockets["iopub"].send_multipart([b"no", b"message"])
        await by_hand.publish("status", None, execution_state="idle")
        await by_hand.publish("stream", request, name="stdout", text="mine")
        await by_hand.reply(request, "execute_reply")
        await by_hand.idle(request)
    assert text(running.result()) == "mine"
    assert client.rejected == 1
    assert [message.msg_type for message in heard] == ["stream", "status", "stream", "status"]


async def test_replies_on_control_come_between_those_on_shell(client, by_hand):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        asked = client.request("control", messages.interrupt_request())
        on_control = await soon(by_hand.hear("control"))
        await by_hand.idle(on_control)
        await by_hand.reply(on_control, "interrupt_reply", "control")
        await soon(asked.done)
        assert not running.done()
        await finish(by_hand, request, order=("reply", "idle"))


async def test_a_reply_that_was_dropped_is_not_waited_for(client, by_hand):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        await by_hand.idle(await soon(by_hand.hear()))
        asked = await soon(by_hand.hear())
        assert asked.msg_type == "kernel_info_request"
        assert not running.done()
        await by_hand.reply(asked, "kernel_info_reply")
    assert (running.result().status, running.result().error.ename) == ("error", "ReplyLost")


async def test_a_reply_that_is_only_late_is_waited_for(client, by_hand):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        await by_hand.idle(request)
        asked = await soon(by_hand.hear())
        await by_hand.reply(request, "execute_reply", execution_count=1)
        await by_hand.reply(asked, "kernel_info_reply")
    assert running.result().status == "ok"


async def test_what_comes_after_idle_still_belongs_to_its_cell(client, by_hand):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        await finish(by_hand, request, order=("reply", "idle"))
    seen = asyncio.Event()
    client.listen(lambda message: seen.set() if message.msg_type == "display_data" else None)
    await by_hand.publish("display_data", request, data={"text/plain": "late"}, metadata={})
    await soon(seen.wait())
    await asyncio.sleep(0)
    assert running.result().outputs[-1]["data"] == {"text/plain": "late"}


async def test_a_wait_that_was_cancelled_costs_nobody_anything(client, by_hand):
    await soon_subscribed(client, by_hand)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.flush()
    late = await soon(by_hand.hear())
    await by_hand.reply(late, "kernel_info_reply")
    await by_hand.idle(late)
    async with asyncio.TaskGroup() as group:
        group.create_task(soon(client.flush()))
        request = await soon(by_hand.hear())
        await finish(by_hand, request, order=("reply", "idle"))


async def test_the_end_is_told_to_everyone_who_waits(client, by_hand):
    async def fails():
        with pytest.raises(KernelDied):
            await client.execute("1")

    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        for _ in range(5):
            group.create_task(fails())
        for _ in range(5):
            await by_hand.hear()
        client.fail(KernelDied("gone"), for_good=True)
    with pytest.raises(KernelDied):
        await client.flush()


async def test_closing_ends_what_is_under_way(addresses):
    async with zmq_client(addresses).client as client:
        asked = client.request("shell", INFO)
    with pytest.raises(MoorageError, match="closed"):
        await asked.done


async def test_finished_requests_are_not_kept_for_ever(client, by_hand):
    for _ in range(600):
        request = client.request("shell", INFO)
        request.reply.set_result(request.message)
        request.settle(idle=True)
    waiting = client.request("shell", INFO)
    for _ in range(600):
        client.request("shell", INFO).reply.cancel()
    assert len(client._requests) < 300
    assert waiting.message.header.msg_id in client._requests


async def test_numbers_json_does_not_have(client, by_hand):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        data = {"application/json": {"n": math.nan, "i": math.inf, "s": "\udc80"}}
        await by_hand.publish("display_data", request, data=data, metadata={})
        await finish(by_hand, request, order=("reply", "idle"))
    shown = running.result().outputs[0]["data"]["application/json"]
    assert math.isnan(shown["n"])
    assert (shown["i"], shown["s"]) == (math.inf, "\udc80")


# -- ipykernel -------------------------------------------------------------------------------------


async def test_streams_results_and_counts(python):
    result = await soon(python.execute("import sys; print('a'); print('b', file=sys.stderr); 1 + 1"))
    assert [output["output_type"] for output in result.outputs] == ["stream", "stream", "execute_result"]
    assert result.outputs[-1]["data"]["text/plain"] == "2"
    assert result.execution_count == result.outputs[-1]["execution_count"]
    assert result.seconds > 0


async def test_outputs_may_go_to_the_receiver_alone(python):
    got = []
    code = "print(1); 2"
    result = await soon(python.execute(code, receive=lambda each: got.append(each.msg_type), collect=False))
    assert (result.status, result.outputs) == ("ok", [])
    assert {"stream", "execute_result"} <= set(got)


async def test_an_exception_is_a_result(python):
    result = await soon(python.execute("1/0"))
    assert result.status == "error"
    assert result.error.ename == "ZeroDivisionError"
    assert result.outputs[0]["output_type"] == "error"


async def test_two_at_once_keep_their_outputs_apart(python):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(soon(python.execute(f"print({number})"))) for number in range(10)]
    assert [text(task.result()) for task in tasks] == [f"{number}\n" for number in range(10)]


async def test_an_error_leaves_what_is_queued_behind_it_alone(python):
    async with asyncio.TaskGroup() as group:
        first = group.create_task(soon(python.execute("import time; time.sleep(.2); 1/0")))
        await asyncio.sleep(0)
        second = group.create_task(soon(python.execute("1")))
    assert (first.result().status, second.result().status) == ("error", "ok")


async def test_input_is_answered(python):
    asked = []

    def answer(prompt, password):
        asked.append((prompt, password))
        return "Ada"

    code = "import getpass; print(input('name? ') + getpass.getpass('word? '))"
    result = await soon(python.execute(code, stdin=answer))
    assert text(result) == "AdaAda\n"
    assert asked == [("name? ", False), ("word? ", True)]


async def test_input_is_answered_by_who_asked_for_the_execution(python):
    async with asyncio.TaskGroup() as group:
        first = group.create_task(soon(python.execute("print(input())", stdin=lambda *_: "first")))
        await asyncio.sleep(0)
        group.create_task(soon(python.execute("1")))
        second = group.create_task(soon(python.execute("print(input())", stdin=lambda *_: "second")))
    assert (text(first.result()), text(second.result())) == ("first\n", "second\n")


async def test_input_without_anybody_to_answer_is_an_error(python):
    result = await soon(python.execute("input()"))
    assert result.error.ename == "StdinNotImplementedError"


async def test_a_provider_of_input_that_raises_fails_the_execution_and_frees_the_kernel(python):
    def answer(*_):
        raise LookupError("no answer")

    with pytest.raises(LookupError, match="no answer"):
        await soon(python.execute("input()", stdin=answer))
    assert (await soon(python.execute("1"))).status == "ok"


async def test_a_question_left_open_gets_an_empty_answer_at_last(python, monkeypatch):
    monkeypatch.setattr("moorage.kernel.client._UNHEARD", 0.05)
    result = await soon(python.execute("print([input()])", stdin=lambda *_: None))
    assert text(result) == "['']\n"


async def test_a_question_that_was_interrupted_is_not_answered():
    async with launch("python3") as kernel:
        result = await soon(kernel.execute("input(); print('on')", stdin=lambda *_: kernel.interrupt()))
        assert (result.error.ename, text(result)) == ("KeyboardInterrupt", "")
        result = await soon(kernel.execute("print(input())", stdin=lambda *_: "Ada"))
        assert text(result) == "Ada\n"


async def test_a_receiver_that_raises_fails_the_execution_only(python):
    def receive(message):
        raise LookupError(message.msg_type)

    with pytest.raises(LookupError):
        await soon(python.execute("print(1)", receive=receive))
    assert text(await soon(python.execute("print(2)"))) == "2\n"


async def test_a_listener_that_raises_costs_nobody_an_output(python):
    told, on = [], [True]
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def listener(message):
        if on:
            raise LookupError(message.msg_type)

    python.listen(listener)
    result = await soon(python.execute("print(1)"))
    on.clear()
    loop.set_exception_handler(None)
    assert text(result) == "1\n"
    assert told


async def test_characters_utf8_does_not_have(python):
    assert "surrogate" in text(await soon(python.execute("print('lone \\udc80 surrogate')")))


async def test_comms_are_heard_with_their_buffers(python):
    heard = []
    code = """
from comm import create_comm
c = create_comm('mine', data={'a': 1}, buffers=[b'\\x00\\xff'])
c.send({'b': 2})
c.close()
"""
    await soon(python.execute(code, receive=lambda m: heard.append(m) if "comm" in m.msg_type else None))
    assert [message.msg_type for message in heard] == ["comm_open", "comm_msg", "comm_close"]
    assert bytes(heard[0].buffers[0]) == b"\x00\xff"


async def test_clearing_and_updating(python):
    code = """
from IPython.display import clear_output, display
for i in range(3):
    clear_output(wait=True)
    print(i)
handle = display('old', display_id=True)
handle.update('new')
"""
    result = await soon(python.execute(code))
    assert text(result) == "2\n"
    assert result.outputs[-1]["data"]["text/plain"] == "'new'"


async def test_expressions_are_evaluated(python):
    result = await soon(python.execute("x = 5", expressions={"twice": "2 * x"}))
    assert result.expressions["twice"]["data"]["text/plain"] == "10"


async def test_silence(python):
    result = await soon(python.execute("print(1); 2", silent=True))
    assert not [output for output in result.outputs if output["output_type"] == "execute_result"]


async def test_cancelling_stops_the_wait_and_not_the_kernel(python):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await python.execute("import time; time.sleep(.3); done = 'yes'")
    assert text(await soon(python.execute("print(done)"))) == "yes\n"


async def test_a_lot_of_output(python):
    result = await soon(python.execute("for i in range(20000): print(i)"))
    assert text(result).count("\n") == 20000


async def test_a_client_is_busy_while_its_request_on_shell_is_under_way(by_hand, client):
    assert not client.busy
    request = client.request("shell", messages.execute_request("1"))
    assert client.busy
    heard = await by_hand.hear()
    await by_hand.reply(heard, "execute_reply")
    await request.reply
    assert client.busy
    await by_hand.idle(heard)
    await request.done
    assert not client.busy


async def test_a_kernel_that_answers_late_leaves_no_request_under_way(by_hand, client):
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(soon(client.ready()))
        asked = [await soon(by_hand.hear()) for _ in range(2)]  # the second a second after the first
        for request in asked:
            await by_hand.idle(request)
            await by_hand.reply(request, "kernel_info_reply")
        await ready
    assert not client.busy


async def test_what_was_published_before_anybody_listened_is_not_waited_for(by_hand, client):
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(soon(client.ready()))
        request = await soon(by_hand.hear())
        await soon(by_hand.sockets["iopub"].recv())  # our subscription
        await by_hand.publish("iopub_welcome", subscription="")
        await by_hand.reply(request, "kernel_info_reply")
        await ready
    assert not client.busy


async def test_an_idle_that_the_kernel_dropped_is_not_waited_for_for_ever(by_hand, client):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        await by_hand.publish("stream", request, name="stdout", text="some\n")
        await by_hand.reply(request, "execute_reply", execution_count=1)
        later = await soon(by_hand.hear())  # two seconds later
        assert later.msg_type == "kernel_info_request"
        await by_hand.reply(later, "kernel_info_reply")
        await by_hand.idle(later)
        result = await running
    assert result.status == "ok"
    assert [output["text"] for output in result.outputs] == ["some\n", LOST]
    assert not result.complete
    assert not client.busy


async def test_a_kernel_that_shows_no_sign_of_a_request_is_woken(by_hand, client, monkeypatch):
    await soon_subscribed(client, by_hand)
    monkeypatch.setattr("moorage.kernel.unheard.UNHEARD", 0.05)
    woken = asyncio.Event()
    monkeypatch.setattr(client._unheard, "_wake", woken.set)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        await soon(woken.wait())
        await finish(by_hand, await soon(by_hand.hear()), order=("reply", "idle"))
    assert running.result().complete


async def test_a_kernel_that_cannot_be_woken_for_want_of_descriptors_is_waited_for(
    by_hand, client, monkeypatch, caplog
):
    def refuse():
        raise MoorageError("no more connections")

    await soon_subscribed(client, by_hand)
    monkeypatch.setattr("moorage.kernel.unheard.UNHEARD", 0.05)
    monkeypatch.setattr(client._unheard, "_wake", refuse)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        async with asyncio.timeout(60):
            while "cannot be woken" not in caplog.text:
                await asyncio.sleep(0.005)
        await finish(by_hand, request, order=("reply", "idle"))
    assert running.result().complete


async def test_a_kernel_that_answers_and_publishes_nothing_more_is_not_waited_for_for_ever(
    by_hand, client, monkeypatch
):
    monkeypatch.setattr("moorage.kernel.client._IDLE_LATE", 0.05)
    monkeypatch.setattr("moorage.kernel.client._IOPUB_STUCK", 0.5)
    await soon_subscribed(client, by_hand)
    asked = 0
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        while not running.done():
            hearing = asyncio.ensure_future(by_hand.hear())
            await asyncio.wait({hearing, running}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                hearing.cancel()
                break
            await by_hand.reply(
                hearing.result(), f"{hearing.result().msg_type.removesuffix('_request')}_reply"
            )
            asked += 1
    assert asked > 2
    assert [output["text"] for output in running.result().outputs] == [LOST]
    assert not running.result().complete
    assert not client.busy


async def test_a_flush_whose_reply_the_kernel_dropped_is_not_waited_for_for_ever(by_hand, client):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        group.create_task(soon(client.flush()))
        request = await soon(by_hand.hear())
        await by_hand.idle(request)
        later = await soon(by_hand.hear())
        await by_hand.reply(later, "kernel_info_reply")
        await by_hand.idle(later)
    async with asyncio.timeout(60):  # its idle comes by another socket
        while client.busy:
            await asyncio.sleep(0.01)


async def test_an_idle_that_is_late_ends_its_request_as_ever(by_hand, client):
    await soon_subscribed(client, by_hand)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        await by_hand.reply(request, "execute_reply", execution_count=1)
        later = await soon(by_hand.hear())
        await by_hand.publish("stream", request, name="stdout", text="all\n")
        await by_hand.idle(request)
        await by_hand.reply(later, "kernel_info_reply")
        await by_hand.idle(later)
        result = await running
    assert [output["text"] for output in result.outputs] == ["all\n"]
    assert result.complete


async def test_output_whose_number_is_missing_is_told(by_hand, client):
    await soon_subscribed(client, by_hand)
    client.published = Numbers()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(soon(client.execute("1")))
        request = await soon(by_hand.hear())
        numbers = (f"kernel_1_{n}" for n in range(5000) if n != MANY + 77)
        by_hand.session._new_id = numbers.__next__
        for _ in range(2 * MANY):
            await by_hand.publish("stream", request, name="stdout", text=".")
        await finish(by_hand, request, order=("reply", "idle"))
        question = await soon(by_hand.hear())
        await by_hand.reply(question, "kernel_info_reply")
        await by_hand.idle(question)
        result = await running
    assert (result.status, result.complete) == ("ok", False)
    assert [output["text"] for output in result.outputs] == ["." * 2 * MANY, LOST]
