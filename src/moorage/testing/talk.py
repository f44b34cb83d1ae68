"""What a kernel must answer, tried message by message on one that runs.

Source: "Messaging in Jupyter", https://jupyter-client.readthedocs.io/en/stable/messaging.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from moorage.json_types import JsonObject
from moorage.kernel.kernel import Kernel
from moorage.kernel.request import Request
from moorage.kernel.zmq_client import zmq_client
from moorage.rendezvous.files import read_connection_file
from moorage.tasks import result_of
from moorage.testing.snippets import MANY, TEXT, Snippets
from moorage.testing.trial import NotTried, Unmet, expect
from moorage.wire import messages
from moorage.wire.messages import Channel, Message

Trial = tuple[str, Callable[[], Awaitable[None]], bool]
"""What is checked, the function that checks it, and whether it is required."""

# Seconds a running piece of code has to end once it was interrupted.
_STOPS = 10.0
# Seconds a welcome may come behind an answer: they go different ways.
_WELCOME = 2.0


class Talk:
    """A conversation with one running kernel."""

    def __init__(self, kernel: Kernel, snippets: Snippets | None) -> None:
        """Take the kernel, and snippets in its language; None where there are none."""
        self._kernel = kernel
        self._snippets = snippets

    def trials(self) -> list[Trial]:
        """Return all that is tried, in order."""
        must, may = True, False
        return [
            ("kernel_info_reply says protocol, implementation and language", self._info, must),
            ("kernel_info_reply says how its code is highlighted and saved", self._info_rest, may),
            ("every client's subscription is welcomed (iopub_welcome, JEP 65)", self._welcome, may),
            ("every request is framed by busy and idle, with its header as parent", self._framed, must),
            ("code runs: its output, its echo (execute_input), its count", self._runs, must),
            ("text beyond ASCII arrives intact", self._text, must),
            ("the count grows by one for each", self._counts, must),
            ("what is silent is not counted", self._silent, must),
            ("what is not to be stored is not counted", self._unstored, may),
            ("a result has text/plain", self._value, must),
            ("... and comes as execute_result with the request's count", self._result, may),
            ("an error is in the reply: ename, evalue, traceback", self._error_reply, must),
            ("an error is published", self._error_published, must),
            ("after an error, what was queued with stop_on_error is aborted", self._aborts, may),
            ("after an error, what was queued without stop_on_error runs", self._goes_on, may),
            ("user_expressions come back", self._expressions, may),
            ("input is asked for on stdin, with its request as parent", self._asks, must),
            ("all lines of much output arrive", self._late, must),
            ("... and before its status is idle", self._in_time, may),
            ("complete_request is answered", self._complete, must),
            ("inspect_request is answered", self._inspect, must),
            ("is_complete_request is answered", self._is_complete, may),
            ("history_request is answered", self._history, may),
            ("comm_info_request is answered", self._comm_info, may),
            ("a request it does not know costs it nothing", self._unknown, may),
            ("what runs is interrupted, and the next one runs", self._interrupt, must),
        ]

    async def _ask(
        self, request: messages.Request, channel: Channel = "shell", stdin: Any = None
    ) -> tuple[Message, list[Message]]:
        """Return a request's reply and what it published, once both are complete."""
        published: list[Message] = []
        asked = self._kernel.client.request(channel, request, published.append, stdin)
        return await asked.done, published

    async def _execute(self, code: str, **rest: Any) -> tuple[JsonObject, list[Message]]:
        reply, published = await self._ask(messages.execute_request(code, **rest))
        return reply.content, published

    def _code(self, name: str) -> str:
        if self._snippets is None:
            language = self._kernel.info.get("language_info", {}).get("name", self._kernel.spec.language)
            raise NotTried(f"no snippets in {language} are known here: give snippets=")
        code = str(getattr(self._snippets, name))
        if not code:
            raise NotTried("there is nothing in this language to try it with")
        return code

    async def _info(self) -> None:
        reply, _ = await self._ask(messages.kernel_info_request())
        content = reply.content
        expect(reply.msg_type == "kernel_info_reply", f"the answer is a {reply.msg_type}")
        expect(content.get("status", "ok") == "ok", f"its status is {content.get('status')!r}")
        version = content.get("protocol_version")
        expect(re.fullmatch(r"\d+\.\d+(\.\d+)?", str(version)), f"protocol_version is {version!r}")
        expect(
            _is_text(content.get("implementation")), f"implementation is {content.get('implementation')!r}"
        )
        language = content.get("language_info")
        expect(isinstance(language, dict), f"language_info is {language!r}")
        assert isinstance(language, dict)
        expect(_is_text(language.get("name")), f"language_info.name is {language.get('name')!r}")

    async def _info_rest(self) -> None:
        language = self._kernel.info.get("language_info", {})
        wanted = ("version", "mimetype", "file_extension")
        missing = [key for key in wanted if not _is_text(language.get(key))]
        expect(not missing, f"language_info lacks {', '.join(missing)}")
        expect(
            language["file_extension"].startswith("."), f"file_extension is {language['file_extension']!r}"
        )

    async def _welcome(self) -> None:
        # An XPUB socket that is not XPUB_VERBOSE reports the first subscription only.
        info = await asyncio.to_thread(read_connection_file, self._kernel.connection_file)
        if info is None:
            raise NotTried("its connection file has no addresses")
        welcomed = asyncio.Event()

        def listen(message: Message) -> None:
            if message.msg_type == "iopub_welcome":
                welcomed.set()

        second = zmq_client(info).client
        second.listen(listen)
        async with second:
            await second.ready()
            try:
                async with asyncio.timeout(_WELCOME):
                    await welcomed.wait()
            except TimeoutError:
                raise Unmet("a second client's was not: it must guess when it is subscribed") from None

    async def _framed(self) -> None:
        reply, published = await self._ask(messages.kernel_info_request())
        states = [m.content.get("execution_state") for m in published if m.msg_type == "status"]
        expect(states == ["busy", "idle"], f"its states were {states}")
        expect(
            published[0].msg_type == published[-1].msg_type == "status", "something stands outside of them"
        )
        for message in (reply, *published):
            session = message.parent_header.get("session")
            expect(
                session == reply.parent_header.get("session"), f"{message.msg_type} names session {session!r}"
            )

    async def _runs(self) -> None:
        code = self._code("prints")
        reply, published = await self._execute(code)
        expect(
            reply.get("status") == "ok", f"its status is {reply.get('status')!r}: {reply.get('evalue', '')}"
        )
        count = reply.get("execution_count")
        expect(isinstance(count, int), f"execution_count is {count!r}")
        echoed = [m.content for m in published if m.msg_type == "execute_input"]
        expect(len(echoed) == 1, f"{len(echoed)} execute_input came")
        expect(echoed[0].get("code") == code, f"the echo is {echoed[0].get('code')!r}")
        expect(
            echoed[0].get("execution_count") == count, f"the echo counts {echoed[0].get('execution_count')}"
        )

    async def _text(self) -> None:
        result = await self._kernel.execute(self._code("prints"))
        seen = _printed(result.outputs)
        expect(TEXT in lines_of(seen), f"{TEXT!r} came as {seen!r}")

    async def _counts(self) -> None:
        counts = [(await self._execute(self._code("prints")))[0].get("execution_count") for _ in range(3)]
        first = counts[0]
        expect(isinstance(first, int) and counts == [first, first + 1, first + 2], f"it counted {counts}")

    async def _silent(self) -> None:
        before = (await self._execute(self._code("prints")))[0].get("execution_count")
        _, published = await self._execute(self._code("prints"), silent=True)
        kinds = {m.msg_type for m in published}
        expect("execute_result" not in kinds, "it published an execute_result")
        after = (await self._execute(self._code("prints")))[0].get("execution_count")
        expect(
            isinstance(before, int) and after == before + 1, f"the counts around it are {before} and {after}"
        )

    async def _unstored(self) -> None:
        before = (await self._execute(self._code("prints")))[0].get("execution_count")
        await self._execute(self._code("prints"), store_history=False)
        after = (await self._execute(self._code("prints")))[0].get("execution_count")
        expect(
            isinstance(before, int) and after == before + 1, f"the counts around it are {before} and {after}"
        )

    async def _value(self) -> None:
        outputs = (await self._kernel.execute(self._code("value"))).outputs
        plain = [str(each["data"].get("text/plain")) for each in outputs if "data" in each]
        expect(any("42" in each for each in plain), f"42 is not in text/plain of {outputs}")

    async def _result(self) -> None:
        result = await self._kernel.execute(self._code("value"))
        kinds = [each["output_type"] for each in result.outputs]
        expect(kinds == ["execute_result"], f"it came as {' and '.join(kinds)}")
        count = result.outputs[0].get("execution_count")
        expect(count == result.execution_count, f"it counts {count!r}, the reply {result.execution_count!r}")

    async def _error_reply(self) -> None:
        reply, _ = await self._execute(self._code("fails"), stop_on_error=False)
        expect(reply.get("status") == "error", f"the reply's status is {reply.get('status')!r}")
        for key in ("ename", "evalue"):
            expect(isinstance(reply.get(key), str), f"{key} is {reply.get(key)!r}")
        trace = reply.get("traceback")
        expect(
            isinstance(trace, list) and all(isinstance(each, str) for each in trace),
            f"traceback is {trace!r}",
        )

    async def _error_published(self) -> None:
        reply, published = await self._execute(self._code("fails"), stop_on_error=False)
        errors = [m.content for m in published if m.msg_type == "error"]
        expect(len(errors) == 1, f"{len(errors)} error messages came")
        expect(errors[0].get("ename") == reply.get("ename"), "its ename is not the reply's")

    async def _queued(self, *, stop_on_error: bool) -> str:
        client = self._kernel.client
        failing = messages.execute_request(self._code("fails"), stop_on_error=stop_on_error)
        queued = messages.execute_request(self._code("prints"))
        asked: list[Request] = [client.request("shell", each) for each in (failing, queued)]
        await asked[0].done
        return str((await asked[1].done).content.get("status"))

    async def _aborts(self) -> None:
        status = await self._queued(stop_on_error=True)
        expect(status in {"aborted", "error"}, f"its status is {status!r}")

    async def _goes_on(self) -> None:
        status = await self._queued(stop_on_error=False)
        expect(status == "ok", f"its status is {status!r}")

    async def _expressions(self) -> None:
        request = messages.execute_request(self._code("prints"), user_expressions={"x": self._code("value")})
        reply, _ = await self._ask(request)
        found = reply.content.get("user_expressions")
        expect(isinstance(found, dict) and "x" in found, f"user_expressions is {found!r}")

    async def _asks(self) -> None:
        asked: list[str] = []

        def answer(prompt: str, _: bool) -> str:  # noqa: FBT001 - the signature of a provider
            asked.append(prompt)
            return TEXT

        result = await self._kernel.execute(self._code("asks"), stdin=answer)
        expect(asked, "nothing was asked")
        expect("name?" in asked[0], f"the prompt was {asked[0]!r}")
        seen = _printed(result.outputs)
        expect(TEXT in seen, f"the answer {TEXT!r} came as {seen!r}")

    async def _late(self) -> None:
        result = await self._kernel.execute(self._code("many"))
        seen = numbers_in(_printed(result.outputs))
        expect(
            seen == [str(n) for n in range(MANY)], f"{len(seen)} of {MANY} lines came, or in another order"
        )

    async def _in_time(self) -> None:
        _, published = await self._execute(self._code("many"))
        text = "".join(str(m.content.get("text", "")) for m in published if m.msg_type == "stream")
        count = len(numbers_in(text))
        expect(
            count == MANY, f"{count} of {MANY} lines had come when it was idle: clients must wait for more"
        )

    async def _complete(self) -> None:
        code = (self._snippets.gets if self._snippets else "") or "a"
        reply, _ = await self._ask(messages.complete_request(code, len(code)))
        content = reply.content
        expect(reply.msg_type == "complete_reply", f"the answer is a {reply.msg_type}")
        expect(content.get("status") == "ok", f"its status is {content.get('status')!r}")
        expect(isinstance(content.get("matches"), list), f"matches is {content.get('matches')!r}")
        ends = (content.get("cursor_start"), content.get("cursor_end"))
        expect(all(isinstance(each, int) for each in ends), f"cursor_start and cursor_end are {ends}")

    async def _inspect(self) -> None:
        code = (self._snippets.gets if self._snippets else "") or "a"
        reply, _ = await self._ask(messages.inspect_request(code, 1))
        content = reply.content
        expect(reply.msg_type == "inspect_reply", f"the answer is a {reply.msg_type}")
        expect(
            isinstance(content.get("found"), bool),
            f"found is {content.get('found')!r}, status {content.get('status')!r}",
        )
        expect(isinstance(content.get("data"), dict), f"data is {content.get('data')!r}")

    async def _is_complete(self) -> None:
        known = {"complete", "incomplete", "invalid", "unknown"}
        reply, _ = await self._ask(messages.is_complete_request(self._code("prints")))
        status = reply.content.get("status")
        expect(status in {"complete", "unknown"}, f"whole code is called {status!r}")
        reply, _ = await self._ask(messages.is_complete_request(self._code("incomplete")))
        status = reply.content.get("status")
        expect(status in known - {"complete"}, f"half of a piece of code is called {status!r}")

    async def _history(self) -> None:
        reply, _ = await self._ask(messages.history_request(3))
        found = reply.content.get("history")
        expect(isinstance(found, list), f"history is {found!r}")

    async def _comm_info(self) -> None:
        reply, _ = await self._ask(messages.comm_info_request())
        found = reply.content.get("comms")
        expect(isinstance(found, dict), f"comms is {found!r}")

    async def _unknown(self) -> None:
        self._kernel.client.request("shell", ("no_such_request", {}))
        await self._ask(messages.kernel_info_request())

    async def _interrupt(self) -> None:
        on = asyncio.Event()

        def receive(message: Message) -> None:
            if message.msg_type == "stream":
                on.set()

        code = messages.execute_request(self._code("loops"), stop_on_error=False)
        asked = self._kernel.client.request("shell", code, receive)
        await on.wait()
        self._kernel.interrupt()
        try:
            async with asyncio.timeout(_STOPS):
                reply = (await result_of(asked.done)).content
        except TimeoutError:
            await self._kernel.restart()
            expect(False, f"it still ran {_STOPS:g} s later, and was restarted")
        expect(reply.get("status") != "ok", f"the reply's status is {reply.get('status')!r}")
        result = await self._kernel.execute(self._code("prints"))
        expect(result.status == "ok", f"what runs next ends with {result.status}")


def lines_of(text: str) -> list[str]:
    """Return what was printed, line by line.

    A kernel may say more: IPython does where many write their history at once and its database is locked.
    """
    return [line.strip() for line in text.splitlines()]


def numbers_in(text: str) -> list[str]:
    """Return the numbers that were printed, a line each, without what else a kernel may have said."""
    return [line for line in lines_of(text) if line.isdigit()]


def _printed(outputs: list[JsonObject]) -> str:
    return "".join(each["text"] for each in outputs if each["output_type"] == "stream")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
