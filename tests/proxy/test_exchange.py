"""One request and its response: servers that refuse, hang, lie, break off; routes that go away meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from moorage.proxy.settings import ProxySettings
from moorage.proxy.visitor import Visitor
from proxy.rig import UPGRADE, Rig, Visit, dead, echo, mirror, origin, proxied, read_head, saying

pytestmark = pytest.mark.anyio
GET = b"GET /x?secret HTTP/1.1\r\nHost: a\r\n\r\n"


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100_000)
    await reader.read()


async def late(rig: Rig) -> None:
    """Have the deadline of the only visitor be over."""
    (only,) = rig.proxy.core.visitors
    assert isinstance(only, Visitor)
    assert only.deadline > 0
    only.deadline = 0.5
    rig.proxy.core.tick()


async def test_a_request_and_its_body() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        said = (await rig.get("/a?b", "X-K: v")).json
        assert (said["url"], said["headers"]["x-k"], said["headers"]["host"]) == ("/a?b", "v", "a")
        assert said["headers"]["x-forwarded-for"] == "127.0.0.1"
        visit = await rig.connect()
        visit.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        visit.send(b"def" + GET)
        assert (await visit.answer()).json["body"] == "abcdef"
        assert (await visit.answer()).json["method"] == "GET"
        await visit.close()


async def test_chunks_pass_both_ways_as_they_are() -> None:
    heard = asyncio.Queue[bytes]()
    chunks = b"3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n"

    async def chunky(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            heard.put_nowait(await reader.readexactly(len(chunks)))
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)

    async with origin(chunky) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        for _ in range(2):
            visit.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(len(chunks)):
                visit.send(chunks[at : at + 1])
                await visit.writer.drain()
            assert await heard.get() == chunks
            head = await visit.head()
            assert (head[0], await visit.take(len(chunks))) == (200, chunks)
        assert server.connections == 1
        await visit.close()


async def test_a_response_without_a_length_lasts_until_the_end() -> None:
    endless = saying(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
    async with origin(endless) as server, proxied(server.url) as rig:
        said = await rig.ask(GET)
        assert said.endswith(b"\r\nConnection: close\r\n\r\nall of it")


async def test_head_204_and_304_have_no_body() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert int((await visit.answer(bodiless=True)).fields["content-length"]) > 0
        assert (await visit.answer()).status == 200
        await visit.close()
    for status in (204, 304):
        async with (
            origin(saying(b"HTTP/1.1 %d x\r\nContent-Length: 5\r\n\r\n" % status, end=False)) as server,
            proxied(server.url) as rig,
        ):
            visit = await rig.connect()
            visit.send(GET + GET)
            assert [(await visit.answer()).status for _ in range(2)] == [status, status]
            await visit.close()


async def test_interim_responses() -> None:
    async def interim(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, fields = await read_head(reader)
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(int(fields["content-length"]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async with origin(interim) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert [(await visit.head())[0] for _ in range(2)] == [103, 100]
        visit.send(b"ok")
        assert (await visit.head())[0] == 200
        await visit.close()


async def test_an_answer_before_the_body_has_arrived_is_the_last_one() -> None:
    early = saying(b"HTTP/1.1 413 x\r\nContent-Length: 2\r\n\r\nno", end=False)
    async with origin(early) as server, proxied(server.url) as rig:
        said = await rig.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        assert said.startswith(b"HTTP/1.1 413 x\r\n")
        assert said.endswith(b"Connection: close\r\n\r\nno")
        await rig.settled(upstream=0)


async def test_no_server_is_a_503_and_no_activity() -> None:
    with dead() as url:
        async with proxied(url) as rig:
            ((_, backend),) = rig.proxy.core.backends.table.items()
            before = backend.route.last_activity
            answer = await rig.get("/x")
            assert (answer.status, answer.fields["retry-after"]) == (503, "5")
            assert b"503: Service Unavailable" in answer.body
            assert (await rig.ask(UPGRADE)).startswith(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
            )
            assert backend.route.last_activity == before
            await rig.settled(upstream=0)


async def test_a_server_that_hangs_is_a_504() -> None:
    async with origin(hang) as server, proxied(server.url, settings=ProxySettings(proxy_timeout=1.0)) as rig:
        visit = await rig.connect()
        visit.send(GET)
        await rig.settled(upstream=1)
        await asyncio.sleep(0)
        await late(rig)
        assert (await visit.answer()).status == 504
        await rig.settled(upstream=0)
        await visit.close()


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"x" * 70_000,
    ],
)
async def test_a_server_that_speaks_no_http_is_a_502(data: bytes) -> None:
    async with origin(saying(data, end=False)) as server, proxied(server.url) as rig:
        assert (await rig.get("/x")).status == 502
        await rig.settled(upstream=0)


async def test_a_server_that_closes_without_an_answer_is_a_503() -> None:
    async with origin(saying(b"")) as server, proxied(server.url) as rig:
        assert (await rig.get("/x")).status == 503
        assert server.connections == 1


@pytest.mark.parametrize(
    "start",
    [
        b"Content-Length: 10\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ],
)
async def test_a_response_that_breaks_off_breaks_off_for_the_visitor(start: bytes) -> None:
    async with origin(saying(b"HTTP/1.1 200 OK\r\n" + start)) as server, proxied(server.url) as rig:
        said = await rig.ask(GET + GET)
        assert said.count(b"HTTP/1.1") == 1
        assert not said.endswith(b"0\r\n\r\n")


async def test_bytes_behind_a_response_reach_no_visitor() -> None:
    """They would be taken for the response to another request, perhaps of another route."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with origin(saying(answer + answer, end=False)) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        for _ in range(3):
            visit.send(GET)
            assert (await visit.answer()).body == b"ok"
        assert server.connections == 3
        await visit.close()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, keep the connection, and close it under the second one."""
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await reader.readuntil(b"\r\n")


async def test_a_kept_connection_that_ends_under_a_request_is_replaced() -> None:
    async with origin(closing) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        for count in range(1, 4):
            visit.send(GET)
            assert (await visit.answer()).body == b"ok"
            assert server.connections == count
        await visit.close()


async def test_what_may_have_had_an_effect_is_not_sent_twice() -> None:
    async with origin(closing) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(GET)
        assert (await visit.answer()).body == b"ok"
        visit.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert (await visit.answer()).status == 503
        assert server.connections == 1
        # ... nor is a body of which a part is gone already.
        visit.send(GET)
        assert (await visit.answer()).body == b"ok"
        visit.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        assert (await visit.answer()).status == 503
        assert server.connections == 2
        await visit.close()


async def test_a_post_takes_no_connection_that_has_long_been_unused() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        await rig.get("/x")
        rig.proxy.core.now += 2.0
        await rig.get("/x", "Content-Length: 0", method="POST")
        assert server.connections == 2


async def test_a_route_that_goes_away_ends_what_is_under_way() -> None:
    async with origin(hang) as server, proxied(a=server.url) as rig:
        visit = await rig.connect()
        visit.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        await rig.settled(upstream=1)
        assert rig.proxy.remove_route("/a")
        assert (await visit.answer()).status == 404
        await rig.settled(upstream=0)
        await visit.close()


async def test_a_route_that_goes_away_breaks_off_a_response() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await reader.read()

    async with origin(endless) as server, proxied(a=server.url) as rig:
        visit = await rig.connect()
        visit.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        await visit.head()
        assert rig.proxy.remove_route("/a")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await visit.take(100)
        await rig.settled(upstream=0, visitor=0)
        await visit.close()


async def test_a_websocket() -> None:
    async with origin(mirror) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(UPGRADE + b"early")
        status, fields = await visit.head()
        assert (status, fields["upgrade"], fields["connection"]) == (101, "websocket", "Upgrade")
        assert await visit.take(5) == b"early"
        await visit.close()
        await rig.settled(visitor=0, upstream=0, websocket=0)


async def test_a_websocket_that_the_server_refuses_is_a_response() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(UPGRADE)
        answer = await visit.answer()
        assert answer.json["headers"]["upgrade"] == "websocket"
        visit.send(GET)
        assert (await visit.answer()).status == 200
        await visit.close()


async def test_a_websocket_without_a_route_opens_nothing() -> None:
    async with proxied() as rig:
        said = await rig.ask(UPGRADE)
        assert said == b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def unanswered(visit: Visit) -> None:
    """See that nothing is answered while the proxy goes on to serve others."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await visit.reader.read(1)


@pytest.mark.parametrize("rest", [b"def", b"def" + GET])
async def test_an_error_waits_for_the_rest_of_the_body(rest: bytes) -> None:
    async with proxied() as rig:
        visit = await rig.connect()
        visit.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        await unanswered(visit)
        visit.send(rest)
        answer = await visit.answer()
        assert (answer.status, answer.fields["connection"]) == (404, "close")
        assert await visit.closed()
        await visit.close()
        await rig.settled(visitor=0)


async def test_an_error_waits_for_no_end_of_what_is_no_body() -> None:
    async with proxied() as rig:
        visit = await rig.connect()
        visit.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3")
        await unanswered(visit)
        visit.send(b"nonsense\r\n")
        assert (await visit.answer()).status == 404
        assert await visit.closed()
        await visit.close()


async def test_an_error_does_not_wait_long_for_a_body() -> None:
    async with proxied() as rig:
        visit = await rig.connect()
        visit.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        answer = await visit.answer()
        assert (answer.status, answer.fields["connection"]) == (404, "close")
        assert await visit.closed()
        await visit.close()


async def test_error_pages_of_another_server() -> None:
    async def pages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _ = await read_head(reader)
        url = line.split()[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Own: x\r\n\r\n" + url.encode())

    from moorage.plan.targets import parse_target

    with dead() as nowhere:
        async with origin(pages) as server:
            settings = ProxySettings(error_target=parse_target(server.url + "/error"))
            async with proxied(dead=nowhere, settings=settings) as rig:
                visit = await rig.connect()
                for path, status in (("/foo/bar?x=1&y", 404), ("/dead/%20", 503)):
                    visit.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    answer = await visit.answer()
                    assert (answer.status, answer.fields["content-type"]) == (status, "text/plain")
                    assert "x-own" not in answer.fields
                assert answer.body == b"/error/503?url=%2Fdead%2F%2520"
                await visit.close()
        async with proxied(settings=ProxySettings(error_target=parse_target(nowhere))) as rig:
            assert b"404: Not Found" in (await rig.get("/x")).body
