"""What is looked at before a page answers."""

from __future__ import annotations

import pytest

from temp.rig import service

pytestmark = pytest.mark.anyio


async def test_only_hosts_of_the_service_are_answered_for() -> None:
    async with service(hosts=frozenset({"127.0.0.1"})) as rig, rig.browser() as ann:
        assert (await ann.get("/")).status == 200
        assert (await ann.get("/", Host="evil.example")).status == 421


async def test_requests_of_other_sites_change_nothing() -> None:
    async with service() as rig, rig.browser() as ann:
        path = (await ann.follow(await ann.press())).said["path"]
        assert (await ann.ask("POST", path, "x", Origin=ann.origin)).status == 200
        assert (await ann.ask("POST", path, "x", Origin="http://127.0.0.1:1")).status == 403
        async with rig.browser() as bob:
            assert (await bob.press(Origin="http://evil.example")).status == 403
            assert len(rig.left()) == 1
