"""A client of one kernel: requests as awaitables, outputs as they come.

A request is done when its reply *and* its idle have arrived, in whichever order. What arrives later
still with that request as parent (deno prints after idle) goes to the same receiver.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from time import monotonic
from typing import Any, Self

from moorage.errors import MoorageError, ProtocolError, UsageError
from moorage.kernel.late_output import LateOutput
from moorage.kernel.outbox import Outbox
from moorage.kernel.outputs import OutputArea
from moorage.kernel.published import Published, lost
from moorage.kernel.readiness import Readiness
from moorage.kernel.request import InputProvider, Receiver, Request, finished, only_flushes
from moorage.kernel.result import ExecutionError, Result, error_of, result_of
from moorage.kernel.transport import Transport
from moorage.kernel.turns import Turns
from moorage.kernel.unheard import Unheard
from moorage.wire import messages
from moorage.wire.messages import Channel, Message
from moorage.wire.session import Session

__all__ = ["Client", "ExecutionError", "InputProvider", "Receiver", "Request", "Result", "error_of"]

# How many finished requests are still known, so that late output finds its cell; with each its outputs.
_REMEMBERED = 256
# How long a kernel's last messages may take to arrive (s) once its process is known to have ended.
_LAST_WORDS = 0.25
# How long after its reply the idle of a request may come (s) before it is asked for: publishers drop some.
_IDLE_LATE = 2.0
# How long a kernel that was interrupted at a question may wait (s) before it gets an empty answer.
_UNHEARD = 2.0
# How long iopub may be silent (s), with an idle outstanding, while the kernel answers on its other channels.
_IOPUB_STUCK = 15.0


class Client:
    """Speaks to one kernel. Use as ``async with``; all methods belong to the loop it was entered in."""

    def __init__(self, transport: Transport, session: Session) -> None:
        """Describe the conversation; nothing is opened before ``async with``.

        Args:
            transport: carries the messages; the client enters and leaves it.
            session: makes, signs and checks them.
        """
        self._session = session
        self._transport = transport
        transport.on_frames(self._on_frames)
        self._outbox = Outbox(self._session, self._transport)
        self._requests: OrderedDict[str, Request] = OrderedDict()
        self._asked: Message | None = None
        self._listeners: list[Receiver] = []
        self._asked_calls: list[Callable[[], None]] = []
        self._readiness = Readiness(self._ask)
        self._unheard = Unheard(lambda request: self._outbox.holds(request.message), transport.wake)
        self._turns = Turns()
        self._heard = 0.0  # when iopub brought its latest message, by the monotonic clock
        self._ended: BaseException | None = None
        self.published: Published | None = None
        """Holds what arrives against what the kernel says it has published; None for not at all."""
        self.rejected = 0
        """How many arrivals were no valid message: malformed, badly signed, or repeated."""

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.fail(MoorageError("the client was closed while a request was under way"), for_good=True)
        self._unheard.close()
        self._ended = UsageError("the kernel's block has ended", do="Use the kernel inside its block")
        await self._transport.__aexit__(None, None, None)

    @property
    def busy(self) -> bool:
        """Whether a request of ours on the shell channel is still under way."""
        return any(r.message.channel == "shell" and not r.done.done() for r in self._requests.values())

    def fail(self, error: BaseException, *, for_good: bool = False, replaced: bool = False) -> None:
        """Fail every request under way with ``error``.

        Args:
            error: what is raised where a request is awaited.
            for_good: fail every later request, too: the kernel is gone.
            replaced: another process is about to take the kernel's place: once it is :meth:`ready` it gets
                those that are asked from now on.
        """
        if replaced:
            self._outbox.hold()
        if for_good:
            error = self._ended = self._ended or error
        self._turns.fail(error)
        for request in self._requests.values():
            if for_good or not self._outbox.holds(request.message):
                request.fail(error)

    async def drop_unsent(self) -> None:
        """Forget a process of which nothing is left: what it was sent reaches no other one.

        Cancelling is safe.
        """
        await self._transport.drop_unsent()
        if self.published is not None:
            self.published.forget()

    async def receive_rest(self) -> None:
        """Take in what the kernel said before its process ended. Cancelling is safe."""
        await self._transport.receive_rest(_LAST_WORDS)

    def listen(self, receive: Receiver, *, asked: Callable[[], None] | None = None) -> Callable[[], None]:
        """Call ``receive`` with every iopub message, whatever caused it, before its request sees it.

        Args:
            receive: called with the message.
            asked: called when a request has been sent.

        Returns:
            What ends that; calling it again changes nothing.
        """
        self._listeners.append(receive)
        if asked is not None:
            self._asked_calls.append(asked)

        def end() -> None:
            if receive in self._listeners:
                self._listeners.remove(receive)
                if asked is not None:
                    self._asked_calls.remove(asked)

        return end

    def request(
        self,
        channel: Channel,
        request: messages.Request,
        receive: Receiver | None = None,
        stdin: InputProvider | None = None,
    ) -> Request:
        """Send a request.

        Args:
            channel: ``shell`` or ``control``.
            request: message type and content, from :mod:`moorage.wire.messages`.
            receive: called with each iopub message this request causes; what it raises fails the request.
            stdin: answers the kernel's input requests for it.

        Returns:
            The request; await its ``reply`` or its ``done``. Abandoning it is safe: the kernel goes on.

        Raises:
            KernelDied: there is no kernel any more.
            ProtocolError: what listens at its address is no kernel.
            UsageError: the block of the kernel, and so of this client, has ended.
        """
        entry = self._request(channel, request, receive, stdin)
        self._unheard.asked(entry)
        return entry

    def _request(
        self,
        channel: Channel,
        request: messages.Request,
        receive: Receiver | None = None,
        stdin: InputProvider | None = None,
        *,
        ahead: bool = False,
    ) -> Request:
        if self._ended is not None:
            raise self._ended
        entry = Request(self._outbox.send(channel, request, ahead=ahead), receive, stdin)
        self._requests[entry.message.header.msg_id] = entry
        self._forget_old()
        for call in self._asked_calls:
            call()
        return entry

    def _ask(self, channel: Channel, receive: Receiver) -> Request:
        return self._request(channel, messages.kernel_info_request(), receive, ahead=True)

    def send(self, channel: Channel, message: messages.Request, parent: Message | None = None) -> None:
        """Send a message that has no reply, such as ``input_reply`` or ``comm_msg``."""
        self._outbox.send(channel, message, parent)

    async def execute(
        self,
        code: str,
        *,
        receive: Receiver | None = None,
        silent: bool = False,
        store_history: bool = True,
        expressions: Mapping[str, str] | None = None,
        stdin: InputProvider | None = None,
        late_output: LateOutput | None = None,
        collect: bool = True,
    ) -> Result:
        """Run code and wait until it and its output are complete.

        Args:
            code: what to run.
            receive: called with every message of the execution, beside the collection in the result.
            silent: broadcast no output and count nothing.
            store_history: let the kernel keep it in its history.
            expressions: evaluated afterwards; their values come back in ``Result.expressions``.
            stdin: answers the kernel's input requests, given prompt and whether it is a password; None
                makes ``input()`` an error in the kernel. Called in the loop's thread. It returns None when it
                has interrupted the kernel: that gets an empty answer only if it does not hear the interrupt.
            late_output: how to find the end of the output of a kernel that publishes some after its reply.
            collect: keep the outputs for the result; without it ``receive`` alone gets them.

        Raises:
            KernelDied: the kernel's process ended meanwhile.
            Exception: whatever ``receive`` or ``stdin`` raised.

        Cancelling stops the wait, not the kernel: interrupt it for that.
        """
        area = OutputArea()

        def take(message: Message) -> None:
            if collect:
                area.handle(message)
            if receive is not None:
                receive(message)

        message = messages.execute_request(
            code,
            silent=silent,
            store_history=store_history,
            user_expressions=expressions,
            allow_stdin=stdin is not None,
            stop_on_error=False,  # what is sent after an interrupt is to be run
        )
        together = late_output is None and self.published is None
        async with nullcontext() if together else self._turns.turn():
            if self.published is not None:
                await self.published.begin(self)
            began, request = monotonic(), self.request("shell", message, take, stdin)
            reply, seconds = (await request.done).content, monotonic() - began
            if late_output is not None:
                await late_output.end(self, take)
            complete = not await lost(self, self.published, request, take)  # it may add a line to the outputs
            return result_of(reply, area, seconds, complete=complete)

    async def ready(
        self,
        *,
        channel: Channel = "shell",
        prepare: Callable[[Mapping[str, Any]], str | None] | None = None,
    ) -> dict[str, Any]:
        """Wait until the kernel answers and its iopub broadcasts are proven to reach us.

        Args:
            channel: where to ask; on ``control`` many kernels answer while they compute.
            prepare: returns code to run silently, before all that was asked of the kernel while it was being
                started again; called with the answer.

        Returns:
            The content of the kernel's ``kernel_info_reply``.

        Raises:
            KernelDied: the kernel's process ended first. Cancelling is safe.
        """
        info = await self._readiness.proven(channel)
        if prepare is not None and (code := prepare(info)):
            message = messages.execute_request(code, silent=True, store_history=False)
            preparing = self._request("shell", message, ahead=True)
            self._unheard.asked(preparing)
            await preparing.done
        self._outbox.release()
        return info

    async def flush(self, receive: Receiver | None = None) -> None:
        """Wait until everything the kernel has published so far has arrived.

        Args:
            receive: called with what the kernel publishes in this request's name: ipykernel does so with
                what a child process printed just before.
        """
        request = self.request("shell", messages.kernel_info_request(), receive)
        only_flushes(request)  # a kernel that is interrupted as it answers keeps its reply
        await request.done

    def _forget_old(self) -> None:
        while len(self._requests) > _REMEMBERED:
            oldest, request = next(iter(self._requests.items()))
            if not request.done.done() and not request.reply.cancelled():
                self._requests.move_to_end(oldest)
                return
            del self._requests[oldest]

    def _on_frames(self, channel: Channel, frames: list[bytes]) -> None:
        try:
            message = self._session.receive(channel, frames)
        except ProtocolError:
            self.rejected += 1
            return
        if self.published is not None:
            self.published.handle(message)
        if channel == "iopub":
            self._on_iopub(message)
        elif channel == "stdin":
            self._on_input_request(message)
        else:
            self._on_reply(message)

    def _on_reply(self, message: Message) -> None:
        request = self._requests.get(message.parent_id)
        if request is not None and not request.reply.done():
            request.replied = monotonic()
            request.reply.set_result(message)
            request.settle()
            if not request.done.done():
                look = asyncio.get_running_loop().call_later(_IDLE_LATE, self._look_for_idle, request)
                request.done.add_done_callback(lambda _: look.cancel())

    def _look_for_idle(self, request: Request) -> None:
        """Ask something else: once that has its idle, one that was to come before it never will.

        Nor will it where the kernel goes on answering and publishes nothing at all.
        """
        if self._ended is None and not request.done.done():
            lacking = (r.replied for r in self._requests.values() if finished(r.reply) and not r.done.done())
            if monotonic() - max(self._heard, min(lacking)) > _IOPUB_STUCK:
                request.miss_idle()  # and with it those before it, which wait for its idle
                return
            channel: Channel = "control" if request.message.channel == "control" else "shell"
            # deno gives what is late to the last request.
            later = self.request(channel, messages.kernel_info_request(), request.receive)
            later.done.add_done_callback(lambda done: request.miss_idle() if finished(done) else None)

    def _look_for_reply(self, request: Request) -> None:
        """Ask something else: once that is answered, a reply that was to come before it never will.

        ipykernel drops the reply of a request that is interrupted as it answers.
        """
        if self._ended is None and request.lacks_reply:
            later = self.request("shell", messages.kernel_info_request())
            later.reply.add_done_callback(lambda told: request.miss_reply() if finished(told) else None)

    def _on_iopub(self, message: Message) -> None:
        self._heard = monotonic()
        try:
            for listener in tuple(self._listeners):
                listener(message)
        finally:
            # A listener that raises is told of by the loop, and costs the request nothing.
            self._on_published(message)

    def _on_published(self, message: Message) -> None:
        if message.msg_type == "iopub_welcome":
            self._readiness.welcome()
        request = self._requests.get(message.parent_id)
        if request is None:
            return
        self._unheard.heard(request)
        if request.receive is not None:
            try:
                request.receive(message)
            except Exception as error:  # noqa: BLE001 - the caller's own code: raised where it is awaited
                request.fail(error)
        if message.msg_type == "status" and message.content.get("execution_state") == "idle":
            request.settle(idle=True)
            if request.lacks_reply:
                look = asyncio.get_running_loop().call_later(_IDLE_LATE, self._look_for_reply, request)
                request.done.add_done_callback(lambda _: look.cancel())

    def _on_input_request(self, message: Message) -> None:
        request = self._requests.get(message.parent_id)
        if message.msg_type != "input_request" or request is None or request.stdin is None:
            return
        self._asked = message
        value: str | None = ""  # the kernel waits for some answer, even where there is none
        try:
            prompt = str(message.content.get("prompt", ""))
            value = request.stdin(prompt, bool(message.content.get("password")))
        except Exception as error:  # noqa: BLE001 - the caller's own code: raised where it is awaited
            request.fail(error)
        if value is not None:
            self.send("stdin", messages.input_reply(value), parent=message)
            return
        look = asyncio.get_running_loop().call_later(_UNHEARD, self._answer_nothing, request, message)
        request.done.add_done_callback(lambda _: look.cancel())

    def _answer_nothing(self, request: Request, asked: Message) -> None:
        """Answer a question that the kernel, which was interrupted, goes on waiting for."""
        if self._asked is asked and not request.done.done():
            self.send("stdin", messages.input_reply(""), parent=asked)
