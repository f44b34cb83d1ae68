"""A visitor's browser."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from load.toy_service import ToyService
from moorage.load.browser import open_browser
from moorage.load.steps import StepFailed

pytestmark = pytest.mark.anyio


async def test_cookies_come_along_and_redirects_are_not_followed() -> None:
    async with ToyService().running() as toy, open_browser(toy.url) as browser:
        assert "Hello" in (await browser.visit("/")).text
        heard = await browser.visit("/start", {"token": "t0"})
        assert (heard.status, heard.location) == (303, "/start?to=")


async def test_what_fails_is_told_with_its_status_and_without_names_that_differ() -> None:
    async with ToyService().running() as toy, open_browser(toy.url) as browser:
        toy.save = 500
        with pytest.raises(StepFailed, match=r"PUT /api/contents/a: Internal Server Error\. \{\}") as caught:
            await browser.ask("PUT", "/user/7/api/contents/a", {})
        assert caught.value.trouble.status == 500
        toy.landing = 502
        with pytest.raises(StepFailed, match="GET /lab: Bad Gateway"):
            await browser.load(["/user/7/main.js", "/user/7/lab"])
        with pytest.raises(StepFailed, match="was refused"):
            async with browser.websocket("/"):
                pass


async def test_no_server() -> None:
    async with ToyService().running() as toy:
        url = toy.url
    async with open_browser(url) as browser:
        for work in (browser.visit("/"), browser.ask("GET", "/"), browser.load(["/"])):
            with pytest.raises(StepFailed, match="Connect") as caught:
                await work
            assert caught.value.trouble.status == 0
        with pytest.raises(StepFailed, match="Connect"):
            async with browser.websocket("/"):
                pass


async def test_a_token_against_forgery_goes_along() -> None:
    async def answer(request: web.Request) -> web.Response:
        made = web.json_response({"token": request.headers.get("X-XSRFToken")})
        made.set_cookie("_xsrf", "secret")
        return made

    application = web.Application()
    application.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with open_browser(f"http://127.0.0.1:{runner.addresses[0][1]}/") as browser:
            assert await browser.ask("GET", "/") == {"token": None}
            assert await browser.ask("POST", "/", {}) == {"token": "secret"}
    finally:
        await runner.cleanup()


async def test_as_many_requests_at_once_as_a_browser_makes() -> None:
    now, most, go_on = 0, 0, asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == 6:
            asyncio.get_running_loop().call_later(0.1, go_on.set)
        await go_on.wait()
        now -= 1
        return web.Response()

    application = web.Application()
    application.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with open_browser(f"http://127.0.0.1:{runner.addresses[0][1]}/") as browser:
            await browser.load(["/a"] * 12)
    finally:
        await runner.cleanup()
    assert most == 6


async def test_each_host_has_cookies_of_its_own_and_hears_of_itself_as_the_origin() -> None:
    async def answer(asked: web.Request) -> web.StreamResponse:
        if asked.path == "/socket":
            socket = web.WebSocketResponse()
            await socket.prepare(asked)
            await socket.send_str(f"{asked.headers['Origin']} {sorted(asked.cookies)}")
            return socket
        host = asked.headers["Host"]
        said = {"host": host, "origin": asked.headers.get("Origin"), "cookies": sorted(asked.cookies)}
        made = web.json_response(said)
        made.set_cookie(f"of-{host.partition('.')[0].partition(':')[0]}", "1")
        return made

    application = web.Application()
    application.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with open_browser(f"http://127.0.0.1:{port}/") as browser:
            own, other = f"//id.localhost:{port}", f"//another.localhost:{port}"
            for address in ("/", own, f"{other}/"):
                await browser.visit(address)
            assert await browser.ask("POST", f"{own}/a", {}) == {
                "host": own[2:],
                "origin": f"http:{own}",
                "cookies": ["of-id"],
            }
            assert (await browser.ask("GET", f"{other}/"))["cookies"] == ["of-another"]
            async with browser.websocket(f"{own}/socket") as opened:
                assert (await opened.receive()).data == f"http:{own} ['of-id']"
    finally:
        await runner.cleanup()
