"""What an operator types while ``moorage temp`` runs."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_temp_run import TOY, running, state_left
from command import Command, typed_in, until
from moorage.cli.main import build_parser
from moorage.cli.temp_admin import named
from moorage.errors import UsageError
from moorage.wire.temp_admin import ServerInfo


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made


def server(name: str) -> ServerInfo:
    return ServerInfo(name, f"/user/{name}/", "ready", spare=False, offer="")


def test_a_server_is_named_by_its_beginning() -> None:
    servers = [server("ab1"), server("ab2"), server("c3")]
    assert (named("c", servers), named("ab2", servers)) == ("c3", "ab2")
    with pytest.raises(UsageError, match="ab names 2 servers"):
        named("ab", servers)
    for word in ("x", "", "c33"):
        with pytest.raises(UsageError, match="there is no server"):
            named(word, servers)


def test_the_service_is_found_by_what_is_given_before_or_after_the_action() -> None:
    parse = build_parser().parse_args
    for words in (["temp", "--port", "1", "status"], ["temp", "status", "--port", "1"]):
        options = parse(words)
        assert (options.port, options.state, options.action) == (1, None, "status")
    assert parse(["temp"]).action is None
    resize = parse(["temp", "resize", "--capacity", "3"])
    assert (resize.new_capacity, resize.new_spares) == (3, None)


def test_a_service_is_looked_at_and_steered(command: Command) -> None:
    state = ("--state", command.runtime / "state")

    def asked(*words: object, code: int = 0) -> str:
        done = command("temp", *words, *state, code=code)
        return done.stdout if code == 0 else done.stderr

    def status() -> dict:
        return json.loads(asked("status", "--json"))

    with running(command, "--command", TOY, "--capacity", "2") as temp:
        path = temp.server()
        (found,) = status()["servers"]
        assert (found["path"], found["state"]) == (path, "ready")
        assert "1 visitor has a server, 0 in the queue" in asked("status")
        assert "Up to 4 servers, 1 spare kept ready" in asked("resize", "--capacity", 4, "--spares", 1)
        assert until(lambda: status()["stats"]["spares"]["ready"] == 1, 60.0)
        said = asked("resize", "--capacity", 1 << 20)
        assert re.search(r"(Descriptors are|Memory is) enough for \d+ of the 1048576 servers", said)
        assert "Descriptors" not in asked("resize", "--capacity", 4)
        assert "no more than the capacity, 4" in asked("resize", "--spares", 5, code=2)
        assert "needs --capacity N or --spares N" in asked("resize", code=2)
        assert "No new visitors are let in" in asked("drain")
        assert temp.ask("GET", path)[0] == 200
        temp.cookies, hers = {}, temp.cookies
        assert temp.ask("GET", "/")[0] == 503
        assert "New visitors are let in" in asked("drain", "--undo")
        assert temp.ask("GET", "/")[0] == 200
        assert f"there is no server {'x' * 16}" in asked("end", found["id"], "x" * 16, code=2)
        assert f"Server {found['id']} is being ended" in asked("end", found["id"][:9])
        assert until(lambda: found["id"] not in asked("status"), 60.0)
        temp.cookies = hers
        assert "the operator of this service ended it" in temp.ask("GET", path)[2]
        lines = asked("top", "--count", 2, "--interval", 0.01).splitlines()
        assert len(lines) == 2
        assert "servers 1 of 4, spares 1 of 1" in lines[0]
    assert "no moorage temp runs with the state directory" in asked("status", code=2)
    assert state_left(command) == []


def test_top_draws_over_a_terminal_and_leaves_it_as_it_was(command: Command) -> None:
    ours, theirs = pty.openpty()
    seen = bytearray()

    def shows(what: bytes) -> bool:
        while select.select([ours], [], [], 0)[0]:
            seen.extend(os.read(ours, 1 << 16))
        return what in seen

    try:
        with running(command, "--command", TOY) as temp:
            state = ("--state", command.runtime / "state")
            process = command.start("temp", "top", *state, stdout=theirs, env={"TERM": "xterm"})
            assert until(lambda: shows(b"0 visitors have a server"), 60.0)
            temp.server()
            assert until(lambda: shows(b"1 visitor has a server"), 60.0)
            process.send_signal(signal.SIGTERM)
            assert until(lambda: shows(b"\x1b[?25h\x1b[?1049l"), 60.0)
            assert command.ended(process).code == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert state_left(command) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("top", "--interval", "0"), "more than 0"),
        (("top", "--count", "-1"), "0 or more"),
        (("stauts",), "Did you mean moorage temp status?"),
        (("end",), "needs ID"),
        (("status", "--capacity", "3"), "there is no flag --capacity"),
    ],
)
def test_what_cannot_be(command: Command, words: tuple[str, ...], said: str) -> None:
    assert said in command("temp", *words, code=2).stderr


def test_spares_of_a_killed_service_that_the_next_one_does_not_want_are_ended(command: Command) -> None:
    with running(command, "--command", TOY, "--spares", "2") as temp:
        assert until(lambda: temp.said().count("answers") == 2, 60.0)
        temp.process.kill()
        temp.process.wait()
    with running(command, "--command", TOY) as again:
        assert until(lambda: again.said().count("is ended: it is a spare too many") == 2, 60.0)
        left = command.runtime / "state" / "servers"
        assert until(lambda: list(left.iterdir()) == [], 60.0)
    assert state_left(command) == []
    assert until(lambda: not command.left(), 60.0), command.left()


def test_what_was_told_holds_when_the_service_was_killed_and_when_it_was_ended(command: Command) -> None:
    state = ("--state", command.runtime / "state")

    def stats() -> dict:
        return json.loads(command("temp", "status", "--json", *state).stdout)["stats"]

    with running(command, "--command", TOY, "--capacity", "5") as temp:
        command("temp", "resize", "--capacity", 3, "--spares", 1, *state)
        command("temp", "drain", *state)
        temp.process.kill()
        temp.process.wait()
    with running(command, "--command", TOY, "--capacity", "5") as again:
        assert again.ask("GET", "/")[0] == 503
        assert "As an earlier service was told: no new visitors are let in" in again.said()
        assert (stats()["draining"], stats()["capacity"], stats()["spares"]["wanted"]) == (True, 3, 1)
        command("temp", "drain", "--undo", *state)
    with running(command, "--command", TOY, "--capacity", "5") as last:
        assert last.ask("GET", "/")[0] == 200
        assert (stats()["draining"], stats()["capacity"]) == (False, 3)
    with running(command, "--command", TOY, "--capacity", "6"):  # a newer word
        assert (stats()["capacity"], stats()["spares"]["wanted"]) == (6, 0)
    assert state_left(command) == []
    assert until(lambda: not command.left(), 60.0), command.left()
