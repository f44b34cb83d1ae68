"""Times in words; that spares and unused servers are ended is tested where they are handed out and served."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import msgspec
import pytest

from moorage.plan.visits import ServerId
from moorage.temp import watching
from moorage.temp.watching import duration
from temp.rig import PATIENCE, service


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0.4 s"), (119, "119 s"), (3600, "60 min"), (9000, "2.5 h")]
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


async def busy(*_: object) -> bool:
    return True


@pytest.mark.anyio
async def test_a_busy_kernel_is_use_until_a_question_was_not_answered_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "may_be_busy", busy)
    async with service() as rig, rig.browser() as ann:
        server = ServerId((await ann.follow(await ann.press())).said["path"].split("/")[2])
        watch, serving = rig.service.watch, rig.service._serving
        record = msgspec.structs.replace(serving[server].record, jupyter=True)
        serving[server] = replace(serving[server], record=record)
        for seconds in (60.0, 1000.0):
            rig.ask_of(server, seconds)
            used = watch.used(server, time.time())
            watch._idle = 1e-9
            watch.end_idle()
            watch._idle = 0.0
            async with asyncio.timeout(PATIENCE):
                while watch._asked:
                    await asyncio.sleep(0.01)
            assert watch.used(server, time.time()) > used
        rig.ask_of(server, 1200.0)
        watch._idle = 1e-9
        watch.end_idle()
        await rig.emptied()
        ended = (await ann.get(f"/time-left?server={server}")).said["ended"]
        assert (
            ended == "it was not used for 1e-09 s, and the question whether it is to go on was not answered"
        )
