"""Invitations in the admin interface."""

from __future__ import annotations

import pytest

from moorage.temp import invitation_book
from temp.rig import service
from temp.test_admin import operator
from temp.test_inviting import OFFERS

pytestmark = pytest.mark.anyio


async def test_one_is_made_listed_and_withdrawn() -> None:
    async with service(offers=OFFERS) as rig, rig.browser() as ann, operator(rig) as op:
        assert await op.get("/api/invitations") == {"invitations": []}
        wanted = {"offer": "physics", "seats": 30, "seconds": 10800}
        answer = await op.ask("POST", "/api/invitations", wanted)
        assert answer.status == 201
        made = answer.said
        assert (made["offer"], made["seats"], made["taken"], made["state"]) == ("physics", 30, 0, "open")
        assert 10700 < made["left"] <= 10800
        assert made["needed"]
        assert made["link"] == f"http://127.0.0.1:{rig.port}{made['path']}"
        assert (await ann.follow(await ann.press(made["path"]))).said["pid"]
        (found,) = (await op.get("/api/invitations"))["invitations"]
        assert (found["id"], found["taken"], found["path"]) == (made["id"], 1, made["path"])
        assert (await op.ask("DELETE", f"/api/invitations/{made['id']}")).status == 204
        (found,) = (await op.get("/api/invitations"))["invitations"]
        assert found["state"] == "withdrawn"
        again = await op.ask("DELETE", "/api/invitations/x")
        assert (again.status, again.said) == (404, {"error": "there is no invitation x"})
        assert not (await op.ask("POST", "/api/invitations", wanted | {"offer": "chemistry"})).said["needed"]


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ({"seats": 1}, 400, "missing required field `seconds`"),
        ({"seats": 0, "seconds": 60}, 400, "seats 0 cannot be"),
        ({"seats": 100_001, "seconds": 60}, 400, "1 to 100000"),
        ({"seats": 1, "seconds": 0.5}, 400, "a time of 0.5 s cannot be"),
        ({"seats": 1, "seconds": 1e9}, 400, "no more than 400 days"),
        ({"seats": 1, "seconds": 60, "x": 1}, 400, "unknown field"),
        ({"seats": 1, "seconds": 60, "offer": "x"}, 404, "there is no offer x: none has a name"),
    ],
)
async def test_what_cannot_be(wanted, status, said) -> None:
    async with service() as rig, operator(rig) as op:
        answer = await op.ask("POST", "/api/invitations", wanted)
        assert (answer.status, said in answer.said["error"]) == (status, True), answer.text
        assert await op.get("/api/invitations") == {"invitations": []}


async def test_an_offer_has_to_be_named_where_there_are_several() -> None:
    async with service(offers=OFFERS) as rig, operator(rig) as op:
        answer = await op.ask("POST", "/api/invitations", {"seats": 1, "seconds": 60})
        assert "without a name: physics, chemistry" in answer.said["error"]


async def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with service() as rig, operator(rig) as op:
        made = (await op.ask("POST", "/api/invitations", {"seats": 1, "seconds": 60})).said
        monkeypatch.setattr(invitation_book, "write_private", full)
        for method, path in (("POST", "/api/invitations"), ("DELETE", f"/api/invitations/{made['id']}")):
            answer = await op.ask(method, path, {"seats": 1, "seconds": 60})
            assert (answer.status, "No space left" in answer.said["error"]) == (507, True)
        assert len((await op.get("/api/invitations"))["invitations"]) == 1
