"""The end of servers: told before, and what is left of them taken along."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import threading
import time
import zipfile

import msgspec
import pytest

from moorage.plan.clock import Tick
from moorage.plan.visits import ServerId
from temp.rig import PATIENCE, Browser, service

pytestmark = pytest.mark.anyio


async def arrive(browser: Browser) -> str:
    """Press the button and return the name of the server."""
    return (await browser.follow(await browser.press())).said["path"].split("/")[2]


async def time_left(browser: Browser, server: str) -> dict:
    answer = await browser.get(f"/time-left?server={server}")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    return answer.said


async def test_a_server_without_a_set_end() -> None:
    async with service() as rig, rig.browser() as ann:
        server = await arrive(ann)
        assert await time_left(ann, server) == {
            "seconds": None, "told": 0.0, "idle": False, "ended": None, "memory": None, "brake": None,
        }  # fmt: skip
        assert "It runs." in (await ann.get("/server")).text


async def test_the_time_counts_down_and_then_it_is_over() -> None:
    async with service(max_age=3600.0, idle=7200.0) as rig, rig.browser() as ann:
        server = await arrive(ann)
        said = await time_left(ann, server)
        assert 3000 < said["seconds"] <= 3600
        assert (said["told"], said["idle"]) == (600.0, False)
        assert "It ends in 59 min." in (await ann.get("/server")).text
        limits = rig.service.visitors.limits
        rig.service.visitors.limits = msgspec.structs.replace(limits, max_age=0.01)
        rig.service.handle(Tick())
        await rig.emptied()
        assert (await time_left(ann, server))["ended"] == "its time was over"
        assert "Your last server has ended: its time was over." in (await ann.get(f"/user/{server}/x")).text
        assert (await time_left(ann, "another"))["ended"] == "it is not there any more"


async def test_what_is_not_used_ends_sooner() -> None:
    async with service(max_age=3600.0, idle=1800.0) as rig, rig.browser() as ann:
        said = await time_left(ann, await arrive(ann))
        assert 1000 < said["seconds"] <= 1800
        assert (said["told"], said["idle"]) == (450.0, True)


async def test_the_age_of_a_spare_counts_from_its_hand_out() -> None:
    async with service(max_age=3600.0, spares=1) as rig, rig.browser() as ann:
        (spare,) = await rig.with_spares(1)
        written = json.loads((rig.state / "servers" / spare / "record.json").read_text())["handed_out"]
        assert await arrive(ann) == spare
        after = json.loads((rig.state / "servers" / spare / "record.json").read_text())["handed_out"]
        assert after > written


async def test_a_visitor_is_asked_and_answers_on_its_page_or_in_its_server() -> None:
    async with service(idle=3600.0) as rig, rig.browser() as ann, rig.browser() as bob:
        server, his = await arrive(ann), await arrive(bob)
        weight = rig.ask_of(server) / "cpu.weight"
        words = "computed for 21 min without you, and have a smaller share of the processors now."
        words = f"Your programs have {words}"
        assert (await time_left(ann, server))["brake"] == {"asked": True, "words": words}
        assert (await time_left(bob, his))["brake"] is None
        page = (await ann.get("/server")).text
        assert words in page
        assert "Go on with the whole share" in page
        assert "whole share" not in (await bob.get("/server")).text
        used = rig.service.watch.used(ServerId(server), time.time())
        path = f"/whole-share?server={server}"
        assert (await ann.ask("POST", path, Origin="http://evil.example")).status == 403
        assert (await bob.ask("POST", path)).status == 404
        assert (await ann.ask("POST", f"/whole-share?server={his}")).status == 404
        assert (await ann.get(path)).status == 404
        assert weight.read_text() == "10\n"
        assert (await ann.ask("POST", path, Origin=ann.origin)).status == 204
        assert weight.read_text() == "100\n"
        assert rig.service.watch.used(ServerId(server), time.time()) > used
        assert (await time_left(ann, server))["brake"] == {"asked": False, "words": ""}


async def test_the_button_of_the_page_about_a_server_answers_too() -> None:
    async with service() as rig, rig.browser() as ann:
        server = await arrive(ann)
        weight = rig.ask_of(server) / "cpu.weight"
        assert (await ann.ask("POST", "/go-on", {"token": "x"})).status == 303
        assert weight.read_text() == "10\n"
        assert (await ann.press("/server", "/go-on")).location == "/server"
        assert (await ann.get("/go-on")).location == "/server"  # the page of a crowd looks again so
        assert weight.read_text() == "100\n"


async def test_a_crash_is_told_to_its_visitor_alone() -> None:
    async with service() as rig, rig.browser() as ann, rig.browser() as bob:
        server = await arrive(ann)
        os.kill(await rig.pid_of(server), signal.SIGKILL)
        await rig.emptied()
        assert (await time_left(ann, server))["ended"].startswith("killed by SIGKILL")
        assert (await bob.get(f"/time-left?server={server}")).status == 404


async def test_files_are_taken_along() -> None:
    async with service() as rig, rig.browser() as ann, rig.browser() as bob:
        server = await arrive(ann)
        work = rig.state / "servers" / server / "work"
        (work / "a.txt").write_text("mine")
        (work / "big").write_bytes(os.urandom(3 << 20))
        (work / "token").symlink_to("../token")
        assert (await bob.get("/download")).location == "/"
        async with ann.session.get(ann.origin + "/download") as answer:
            assert answer.headers["Content-Disposition"] == 'attachment; filename="files.zip"'
            archive = zipfile.ZipFile(io.BytesIO(await answer.read()))
        assert archive.testzip() is None
        assert archive.read("a.txt") == b"mine"
        assert archive.read("big") == (work / "big").read_bytes()
        assert archive.read("token") == b"../token"


async def test_a_download_that_is_left_leaves_nothing_running() -> None:
    async with service() as rig, rig.browser() as ann:
        server = await arrive(ann)
        (rig.state / "servers" / server / "work" / "big").write_bytes(os.urandom(30 << 20))
        async with ann.session.get(ann.origin + "/download") as answer:
            assert await answer.content.read(1)
        await _no_thread()


async def _no_thread() -> None:
    async with asyncio.timeout(PATIENCE):
        while any(each.name == "zip a visitor's files" for each in threading.enumerate()):
            await asyncio.sleep(0.01)
