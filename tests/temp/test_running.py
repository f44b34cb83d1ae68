"""A service as a whole."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.temp.running import read_again, run_service
from temp.rig import TOY, service

pytestmark = pytest.mark.anyio


async def test_all_servers_end_with_it() -> None:
    async with service() as rig, rig.browser() as ann, rig.browser() as bob:
        pids = [(await each.follow(await each.press())).said["pid"] for each in (ann, bob)]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_class_that_comes_at_the_same_instant() -> None:
    async with service() as rig:
        host = f"127.0.0.1:{rig.port}"
        visits = [await asyncio.open_connection("127.0.0.1", rig.port) for _ in range(150)]
        for _, writer in visits:
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        async with asyncio.timeout(60):
            said = {await reader.readline() for reader, _ in visits}
        assert said == {b"HTTP/1.1 200 OK\r\n"}
        for _, writer in visits:
            writer.transport.abort()


async def test_servers_that_start_end_with_it(tmp_path) -> None:
    async with service(env={"TOY": "mute"}) as rig, rig.browser() as ann:
        assert (await ann.press()).location == "/start?to="
        assert "starting" in (await ann.get("/start?to=")).text
        async with asyncio.timeout(60):
            while not rig.left():
                await asyncio.sleep(0.01)


async def test_two_services_do_not_share_a_state_directory() -> None:
    async with service() as rig:
        with pytest.raises(UsageError, match="in use"):
            async with run_service(rig.offering, []):
                raise AssertionError


def repository(folder: Path) -> Path:
    work = folder / "work"
    work.mkdir()
    subprocess.run(["git", "-C", work, "init", "-q"], check=True)
    (work / "a.txt").write_text("x")
    commit(work)
    return work


def commit(work: Path) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=b"]
    for words in (["add", "."], [*author, "commit", "-qm", "c"]):
        subprocess.run(["git", "-C", work, *words], check=True)


async def test_visitors_get_a_copy_of_a_repository(tmp_path) -> None:
    work = repository(tmp_path)
    async with service(repository=f"file://{work}") as rig, rig.browser() as ann:
        said = (await ann.follow(await ann.press())).said
        assert [path.name for path in Path(said["cwd"]).iterdir()] == ["a.txt"]


# -- offers that change ----------------------------------------------------------------------------

ONE = f"""
[temp.offers.one]
title = "The first"
command = "{sys.executable} {TOY} {{socket}} {{base_path}}"
env = {{ TOPIC = "first" }}
"""


async def test_an_offer_changes_for_new_visitors_and_old_ones_keep_theirs() -> None:
    async with service(offers=ONE) as rig, rig.browser() as ann, rig.browser() as bob:
        first = (await ann.follow(await ann.press())).said
        rig.file.write_text(ONE.replace("first", "second"))
        assert "The first" in (await bob.get("/")).text  # a file that changes is no reason to read it
        await read_again(rig.offering, rig.service)
        assert "The second" in (await bob.get("/")).text
        second = (await bob.follow(await bob.press())).said
        assert (first["env"]["TOPIC"], second["env"]["TOPIC"]) == ("first", "second")
        assert (await ann.follow(await ann.get("/"))).said["pid"] == first["pid"]


async def test_an_offer_that_is_taken_away_leaves_its_servers() -> None:
    async with service(offers=ONE) as rig, rig.browser() as ann, rig.browser() as bob:
        first = (await ann.follow(await ann.press())).said
        rig.file.write_text(ONE.replace("offers.one", "offers.two"))
        await read_again(rig.offering, rig.service)
        assert (await bob.get("/offer/one")).status == 404
        assert (await ann.follow(await ann.get("/"))).said["pid"] == first["pid"]
        assert "It is for an earlier offer" in (await ann.get("/offer/two")).text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[temp.offers", "is no valid TOML"),
        (
            "[temp.offers.one]\ncapacities = 2",
            "temp.offers.one has no capacities (E-CONFIG). Did you mean capacity",
        ),
        ("[temp.offers.one]\ncontent = 'nowhere'", "temp.offers.one: content nowhere cannot be copied"),
        ("[temp.offers.one]\ncontent = 'file:///nowhere'", "file:///nowhere cannot be cloned"),
        ("", "there are no offers in the configuration of"),
    ],
)
async def test_a_broken_file_is_told_and_the_old_offers_stay(
    text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with service(offers=ONE) as rig, rig.browser() as ann:
        rig.file.write_text(text)
        await read_again(rig.offering, rig.service)
        assert said in caplog.text
        assert "get what they got before" in caplog.text
        assert (await ann.follow(await ann.press())).said["env"]["TOPIC"] == "first"


async def test_repositories_are_fetched_again_and_old_ones_go(tmp_path: Path) -> None:
    work = repository(tmp_path)
    text = ONE + f"content = 'file://{work}'\n"
    async with service(offers=text) as rig:
        for number in range(4):
            async with rig.browser() as ann:
                said = (await ann.follow(await ann.press())).said
                assert said["work"] == ["a.txt", *(f"b{each}" for each in range(number))]
            assert len(list((rig.state / "content").iterdir())) == min(number + 1, 2)
            (work / f"b{number}").write_text("x")
            commit(work)
            await read_again(rig.offering, rig.service)


async def test_each_offer_has_spares_of_its_own_and_new_ones_when_it_changes() -> None:
    text = ONE + "spares = 1\n"
    async with service(offers=text, spares=3) as rig, rig.browser() as ann, rig.browser() as bob:
        (spare,) = await rig.with_spares(1)
        rig.file.write_text(text.replace("first", "second"))
        await read_again(rig.offering, rig.service)
        async with asyncio.timeout(60):
            while spare in rig.left():
                await asyncio.sleep(0.01)
        (other,) = await rig.with_spares(1)
        said = (await ann.follow(await ann.press())).said
        assert (said["env"]["TOPIC"], said["path"]) == ("second", f"/user/{other}/")
        await rig.with_spares(1)
        rig.file.write_text(text.replace("offers.one", "offers.two"))
        await read_again(rig.offering, rig.service)
        (third,) = await rig.with_spares(1)
        assert (await bob.follow(await bob.press())).said["path"] == f"/user/{third}/"
