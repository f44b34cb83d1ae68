"""What an operator types to invite a class, and what visitors of its link get."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cli.test_temp_run import TOY, Temp, running, state_left
from command import Command, typed_in, until
from moorage.cli.table import Screen
from moorage.cli.temp_invite_run import checked_url, invitation_named, listed, notes
from moorage.errors import UsageError
from moorage.wire.temp_admin import InvitationInfo

CLOSED = ("--command", TOY, "--invited-only")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made


def invitation(name: str, state: str = "open") -> InvitationInfo:
    return InvitationInfo(name, "physics", state, 30, 3, 3600.0, "/i/x", "http://h/i/x", needed=True)


def invite(command: Command, *words: object) -> str:
    done = command("temp", "invite", "--state", command.runtime / "state", *words)
    return done.stdout.strip()


def by_link(temp: Temp, path: str) -> str:
    """Press the button of a link, and return where the visitor gets."""
    fields = re.findall(r'name="(\w+)" value="([^"]*)"', temp.ask("GET", path)[2])
    status, location, text = temp.ask("POST", "/start", "&".join(f"{name}={value}" for name, value in fields))
    while not location.startswith("/user/"):
        assert status == 303, text
        status, location, text = temp.ask("GET", "/ready?to=")
    return location


def test_a_class_is_invited_and_its_seats_are_remembered_when_the_service_is_killed(command: Command) -> None:
    with running(command, *CLOSED) as temp:
        url = invite(command, "--seats", 2, "--hours", 3, "--to", "lab/tree/a b.ipynb")
        assert url.startswith(f"http://127.0.0.1:{temp.port}/invitation/")
        assert url.endswith("/lab/tree/a%20b.ipynb")
        path = url.removeprefix(f"http://127.0.0.1:{temp.port}")
        assert temp.ask("POST", "/start", "token=x")[0] == 403
        hers = by_link(temp, path)
        assert temp.ask("GET", hers)[0] == 200
        ann = temp.cookies
        temp.process.kill()
        temp.process.wait()
    with running(command, *CLOSED) as again:
        path = path.removeprefix(f"http://127.0.0.1:{temp.port}")
        again.cookies = dict(ann)
        assert again.ask("GET", path)[1].startswith(hers.rsplit("/lab", 1)[0])
        again.cookies = {}
        bob = by_link(again, path)
        assert bob != hers
        again.process.kill()
        again.process.wait()
    with running(command, *CLOSED) as last:
        status, _, text = last.ask("GET", path)
        assert (status, "All seats of this invitation are taken" in text) == (403, True)
        (found,) = json.loads(
            command("temp", "invites", "--json", "--state", command.runtime / "state").stdout
        )["invitations"]
        assert (found["taken"], found["seats"], found["state"]) == (2, 2, "used up")
    assert state_left(command) == []
    assert until(lambda: not command.left()), command.left()


def test_invitations_are_listed_and_withdrawn(command: Command) -> None:
    state = ("--state", command.runtime / "state")
    with running(command, "--command", TOY) as temp:
        assert "There are no invitations" in command("temp", "invites", *state).stdout
        done = command("temp", "invite", *state, "--seats", 1, "--url", "https://class.example.org/")
        assert done.stdout.startswith("https://class.example.org/invitation/")
        assert "It lets 1 browser in, until " in done.stderr
        assert "unless moorage temp is told --invited-only" in done.stderr
        name = re.search("ID: (.*)", done.stderr)[1]
        assert f"{name}  open" in command("temp", "invites", *state).stdout
        said = command("temp", "invites", *state, "--withdraw", name[:5]).stdout
        assert f"Invitation {name} is withdrawn" in said
        assert f"{name}  withdrawn" in command("temp", "invites", *state).stdout
        path = done.stdout.strip().removeprefix("https://class.example.org")
        assert temp.ask("GET", path)[0] == 410
        assert (
            "there is no invitation x" in command("temp", "invites", *state, "--withdraw", "x", code=2).stderr
        )
        assert "seats 0 cannot be" in command("temp", "invite", *state, "--seats", 0, code=2).stderr
    assert "no moorage temp runs" in command("temp", "invite", *state, "--seats", 1, code=2).stderr
    assert state_left(command) == []


def test_only_invited_visitors_come_in_by_acceptors_too(command: Command) -> None:
    with running(command, *CLOSED, "--acceptors", "2", "--spawn-from", "https://a.example") as temp:
        for _ in range(6):  # each by a connection of its own, to either
            temp.cookies = {}
            page = temp.ask("GET", "/spawn/x")[2]
            assert ("By invitation only" in page, "<form" in page) == (True, False)
            assert temp.ask("POST", "/start", "token=x&to=")[0] == 403
            assert temp.ask("POST", "/api/spawn", "{}", Origin="https://a.example")[0] == 403
            assert temp.ask("GET", "/enter/x")[0] == 410
        assert list((command.runtime / "state" / "servers").iterdir()) == []
        path = invite(command, "--seats", 1).removeprefix(f"http://127.0.0.1:{temp.port}")
        assert temp.ask("GET", by_link(temp, path))[0] == 200
        temp.cookies = {}
        assert temp.ask("GET", path)[0] == 403
    assert state_left(command) == []


def test_an_invitation_is_named_by_its_beginning() -> None:
    there = [invitation("ab1"), invitation("ab2"), invitation("c3")]
    assert (invitation_named("c", there), invitation_named("ab2", there)) == ("c3", "ab2")
    with pytest.raises(UsageError, match="ab names 2 invitations"):
        invitation_named("ab", there)
    for word in ("x", ""):
        with pytest.raises(UsageError, match="there is no invitation"):
            invitation_named(word, there)


def test_the_list() -> None:
    shown = listed([invitation("ab1"), invitation("c3", "expired")], Screen(None, colour=False))
    assert shown[0].split() == ["ID", "STATE", "OFFER", "SEATS", "LEFT", "LINK"]
    assert shown[1].split() == [
        "ab1",
        "open",
        "physics",
        "3",
        "of",
        "30",
        "1",
        "h",
        "00",
        "min",
        "http://h/i/x",
    ]


def test_origins_of_links() -> None:
    assert [checked_url(each) for each in ("", "https://a.b:1/", "http://a/base")] == [
        "", "https://a.b:1", "http://a/base",
    ]  # fmt: skip
    for wrong in ("a.b", "ftp://a", "https://", "https://a?b", "https://a#b"):
        with pytest.raises(UsageError, match="--url"):
            checked_url(wrong)


def test_a_page_of_another_site_has_a_server_started_through_acceptors(command: Command) -> None:
    site = {"Origin": "https://a.example"}
    with running(command, "--command", TOY, "--acceptors", "2", "--spawn-from", site["Origin"]) as temp:
        assert temp.ask("OPTIONS", "/api/spawn", **site)[0] == 204
        assert temp.ask("POST", "/api/spawn", "{}", Origin="https://evil.example")[0] == 403
        for _ in range(3):  # by connections to either
            temp.cookies = {}
            status, _, text = temp.ask("POST", "/api/spawn", '{"path": "x"}', **site)
            assert status == 202
            said = json.loads(text)
            origin = f"http://127.0.0.1:{temp.port}"
            status, location, _ = temp.ask("GET", said["link"].removeprefix(origin))
            while status == 303:
                status, location, text = temp.ask("GET", location)
                if status == 200 and "url=/ready" in text:
                    status, location, text = temp.ask("GET", "/ready?to=x")
            assert (status, json.loads(text)["path"]) == (200, said["url"].removeprefix(origin))
            assert temp.ask("GET", said["link"].removeprefix(origin))[0] == 410
    assert state_left(command) == []


def test_a_link_with_the_address_behind_a_proxy_is_told() -> None:
    behind = msgspec.structs.replace(invitation("a"), behind=True)
    (said,) = notes(behind, "")
    assert "say --url ORIGIN" in said
    assert notes(behind, "https://course.example.org") == notes(invitation("a"), "") == []
    assert "--invited-only" in notes(msgspec.structs.replace(behind, needed=False), "")[1]
