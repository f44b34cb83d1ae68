"""``moorage temp`` as it runs, with servers that are up in milliseconds."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from command import Command, typed_in, until
from moorage.cli.main import build_parser
from moorage.cli.temp_run import hosts_of, offering_of, settings_of
from moorage.errors import MoorageError
from moorage.plan.walls import Share
from temp.test_overlay import wheel

TOY = f"{sys.executable} {Path(__file__).parents[1] / 'temp' / 'toy.py'} {{socket}} {{base_path}}"


class Temp:
    """A running command, and a browser with cookies."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log
        assert until(lambda: "Ctrl-C" in self.said() or process.poll() is not None, 60.0), self.said()
        said = re.search(r"(?:Open|leads visitors to) http://[^ ]*:(\d+)/", self.said())
        self.port = int(said[1])
        self.cookies: dict[str, str] = {}

    def said(self) -> str:
        return self.log.read_text()

    def ask(self, method: str, path: str, body: str | None = None, **headers: str):
        """Return status, Location and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            headers |= {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            for field in answer.headers.get_all("Set-Cookie", []):
                name, _, value = field.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, answer.headers.get("Location", ""), answer.read().decode()
        finally:
            connection.close()

    def own_host(self, path: str = "") -> str:
        """Press the button of a service with ``--host-routing``; return the server's host, once it is open.

        This browser sends its cookies to all hosts.
        """
        host = f"localhost:{self.port}"
        token = re.search(r'name="token" value="(\w+)"', self.ask("GET", "/", Host=host)[2])[1]
        location = self.ask("POST", "/start", f"token={token}&to={path}", Host=host)[1]
        for _ in range(50):
            if not location:
                return host
            target = urlsplit(location)
            host = target.netloc or host
            path = target.path + (f"?{target.query}" if target.query else "")
            status, location, text = self.ask("GET", path, Host=host)
            if found := re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', text):
                location = found[1].replace("&amp;", "&")
            assert status in {200, 303}, text
        raise AssertionError("it never ends")

    def server(self, offer: str = "") -> str:
        """Press the button and return the path of the server, once it answers."""
        token = re.search(r'name="token" value="(\w+)"', self.ask("GET", "/")[2])[1]
        location = self.ask("POST", "/start", f"token={token}&to=&offer={offer}")[1]
        while not location.startswith("/user/"):
            status, location, text = self.ask("GET", "/ready?to=")
            assert status == 303, text
        return location


@contextmanager
def running(command: Command, *words: object, state: str = "") -> Iterator[Temp]:
    log = command.cwd / f"log{len(list(command.cwd.glob('log*')))}"
    own = ["--port", "0", "--state", state or command.runtime / "state", "--env", "MOORAGE_TEST_RUN"]
    own += ["--lease", "300"]  # should this process be killed
    with log.open("wb") as file:
        process = command.start("temp", *own, *words, stdout=file, stderr=file)
        yield Temp(process, log)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert command.ended(process).code in {0, -signal.SIGKILL}


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made


def server_pids(command: Command) -> list[int]:
    """Return the process ids of servers: behind walls process 1 is what tends them."""
    records = [
        json.loads(path.read_text()) for path in (command.runtime / "state" / "kept").glob("*/record.json")
    ]
    first = [record["charge"]["pid"] for record in records]
    below = [Path(f"/proc/{pid}/task/{pid}/children").read_text().split() for pid in first]
    return [int(children[0]) if children else pid for pid, children in zip(first, below, strict=True)]


def state_left(command: Command) -> list[str]:
    """Return what is left of servers, and remove the state directory, which stays."""
    import shutil

    left = [path.name for path in (command.runtime / "state" / "servers").iterdir()]
    shutil.rmtree(command.runtime / "state")
    return left


def test_ctrl_c_ends_all_servers(command: Command) -> None:
    with running(command, "--command", TOY) as temp:
        path = temp.server()
        assert temp.ask("GET", path)[0] == 200
        assert "answers" in temp.said()
    assert "Ending all servers" in temp.said()
    assert state_left(command) == []


def test_a_killed_service_costs_no_visitor_anything(command: Command) -> None:
    with running(command, "--command", TOY) as temp:
        path = temp.server()
        before = json.loads(temp.ask("GET", path)[2])
        temp.process.kill()
        temp.process.wait()
    with running(command, "--command", TOY, "--capacity", "1") as again:
        again.cookies = temp.cookies
        after = json.loads(again.ask("GET", path)[2])
        assert (after["run"], after["path"]) == (before["run"], path)
        assert again.ask("GET", "/")[1] == path
        again.cookies = {}
        assert again.ask("GET", path)[0] == 404
        assert again.ask("GET", "/")[0] == 503  # it counts
    assert state_left(command) == []
    assert until(lambda: not command.left()), command.left()


def test_spares_outlive_a_killed_service_and_those_handed_out_keep_their_visitor(command: Command) -> None:
    words = ("--command", TOY, "--spares", "1", "--capacity", "2")
    with running(command, *words) as temp:
        assert until(lambda: "answers" in temp.said(), 60.0)
        path = temp.server()
        before = json.loads(temp.ask("GET", path)[2])
        assert until(lambda: temp.said().count("answers") == 2, 60.0)  # the second spare, too
        temp.process.kill()
        temp.process.wait()
    with running(command, *words) as again:
        again.cookies = temp.cookies
        assert json.loads(again.ask("GET", path)[2])["run"] == before["run"]
        again.cookies = {}
        assert again.server() != path
        assert "starts" not in again.said()
    assert state_left(command) == []
    assert until(lambda: not command.left()), command.left()


def test_what_ended_while_no_service_ran_is_told(command: Command) -> None:
    with running(command, "--command", TOY) as temp:
        temp.server()
        (pid,) = server_pids(command)
        temp.process.kill()
        temp.process.wait()
        os.kill(pid, signal.SIGTERM)
    with running(command, "--command", TOY) as again:
        again.cookies = temp.cookies
        assert until(lambda: "has ended: killed by SIGTERM" in again.ask("GET", "/")[2])
        again.server()
    assert state_left(command) == []


def test_servers_at_hosts_of_their_own_outlive_a_killed_service(command: Command) -> None:
    words = ("--command", TOY.replace("{base_path}", ""), "--host-routing")
    with running(command, *words) as temp:
        assert "Open http://localhost:" in temp.said()
        host = temp.own_host()
        before = json.loads(temp.ask("GET", "/x", Host=host)[2])
        temp.process.kill()
        temp.process.wait()
    with running(command, *words) as again:
        again.cookies = temp.cookies
        after = json.loads(again.ask("GET", "/x", Host=host)[2])
        assert (after["pid"], after["path"]) == (before["pid"], "/x")
        again.process.kill()
        again.process.wait()
    with running(command, "--command", TOY) as paths:
        paths.cookies = temp.cookies
        assert "servers have other addresses" in paths.ask("GET", "/")[2]
        assert paths.server().startswith("/user/")
    assert state_left(command) == []
    assert until(lambda: not command.left()), command.left()


def test_the_lease_ends_what_no_service_takes_over(command: Command) -> None:
    with running(command, "--command", TOY, "--lease", "0.5") as temp:
        temp.server()
        temp.process.kill()
        temp.process.wait()
        assert until(lambda: not any(each.startswith("process") for each in command.left()), 60.0)
    with running(command, "--command", TOY):
        pass  # removes the directory and the control groups that are left
    assert state_left(command) == []


def test_a_port_and_a_state_directory_that_are_taken(command: Command) -> None:
    with running(command, "--command", TOY) as temp:
        taken = command("temp", "--command", TOY, "--port", temp.port, "--state", command.cwd / "s", code=2)
        assert f"cannot listen on 127.0.0.1:{temp.port} (E-USAGE). Address already in use." in taken.stderr
        state = command.runtime / "state"
        taken = command("temp", "--command", TOY, "--port", "0", "--state", state, code=2)
        assert "is in use (E-USAGE). Another moorage temp has it." in taken.stderr
    state_left(command)


def test_no_secret_is_said(command: Command) -> None:
    with running(command, "--command", TOY) as temp:
        temp.server()
        values = [each.rpartition(".")[2] for each in temp.cookies.values()]
        token = next((command.runtime / "state" / "servers").iterdir()) / "token"
        for secret in [*values, token.read_text()]:
            assert secret not in temp.said()
    state_left(command)


def settings(*words: str):
    return settings_of(build_parser().parse_args(["temp", "--command", TOY, *words]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--content", "/nowhere"), "There is no such folder"),
        (("--content", __file__), "It is no folder"),
        (("--capacity", "0"), "must be 1 or more"),
        (("--start-timeout", "nan"), "more than 0"),
        (("--host-routing", "10.0.0.1"), "It is a domain"),
        (("--env", "=x"), "NAME=VALUE"),
        (("--env", "NO_SUCH_VARIABLE_HERE"), "NAME=VALUE"),
        (("--spares", "-1"), "must be 0 or more, and no more than the capacity, 20"),
        (("--spares", "3", "--capacity", "2"), "no more than the capacity, 2"),
        (("--per-address", "-1"), "must be 0 or more"),
        (("--trusted-proxy", "10.0.0.0/40"), "10.0.0.0/40 cannot be"),
        (("--egress", "https://pypi.org"), "It must be HOST or HOST:PORT: https://pypi.org is no host"),
        (("--egress", "a.org", "--egress", "none"), "none stands alone"),
        (("--max-age", "-1"), "0 or more"),
        (("--spawn-from", "*"), "It is the origin of a page"),
        (("--lease", "0"), "more than 0"),
        (("--idle", "-1"), "0 or more"),
        (("--brake-after", "-1"), "--brake-after -1 cannot be"),
        (("--branch", "main"), "goes with a repository"),
        (("--server", "lab"), "does not go with"),
        (("--memory", "much"), "It is a number of bytes from 256M on"),
        (("--memory", "100M"), "from 256M on"),
        (("--memory", "1G", "--disk", "1000M"), "which is to have 128M beside them"),
        (("--cpus", "0"), "0.01 or more"),
        (("--cpus", "nan"), "0.01 or more"),
    ],
)
def test_what_cannot_be(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(MoorageError, match=said):
        settings(*words)


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ((), Share()),
        (("--memory", "256M"), Share(memory=256 << 20, disk=128 << 20)),
        (("--memory", "2G"), Share(memory=2 << 30)),
        (("--memory", "1G", "--disk", "800M"), Share(memory=1 << 30, disk=800 << 20)),
        (("--cpus", "1.5", "--processes", "64"), Share(cpus=1.5, processes=64)),
    ],
)
def test_what_each_visitor_may_take(words: tuple[str, ...], share: Share) -> None:
    assert settings(*words).share == share


def test_pages_are_at_the_first_name_or_the_domain() -> None:
    given = settings(
        "--host-routing", "apps.example.org", "--name", "a.example.org", "--name", "b.example.org"
    )
    assert given.urls.front == "a.example.org"
    assert given.hosts >= {"a.example.org", "b.example.org"}
    assert settings("--host-routing", "--host", "0.0.0.0").hosts == {
        *["localhost", "127.0.0.1", "::1", "0.0.0.0"]
    }
    assert not settings().urls.by_host


def test_a_repository_is_content(tmp_path: Path) -> None:
    found = settings("--content", "https://example.org/a.git", "--branch", "main")
    assert (found.repository, found.branch, found.content) == ("https://example.org/a.git", "main", None)
    assert settings("--content", str(tmp_path)).content == tmp_path


def test_hosts() -> None:
    local = {"localhost", "127.0.0.1", "::1"}
    assert hosts_of("127.0.0.1", []) == local
    assert hosts_of("localhost", []) == local
    assert hosts_of("127.0.0.2", ["A.example"]) == {*local, "127.0.0.2", "a.example"}
    assert hosts_of("", []) == frozenset()
    assert hosts_of("10.0.0.1", []) == frozenset()
    assert hosts_of("10.0.0.1", ["a"]) == {*local, "10.0.0.1", "a"}


def test_the_address_that_is_said_leads_there(command: Command) -> None:
    with running(command, "--command", TOY, "--title", "A course") as temp:
        assert "<h1>A course</h1>" in temp.ask("GET", "/")[2]
        with socket.create_connection(("127.0.0.1", temp.port)):
            pass
    state_left(command)


OFFERS = f"""
[temp.offers.one]
title = "The first"
command = "{TOY}"
"""


def test_offers_of_a_file_are_read_again_at_a_sighup(command: Command) -> None:
    file = command.cwd / "moorage.toml"
    file.write_text(OFFERS)
    with running(command) as temp:
        assert "<h1>The first</h1>" in temp.ask("GET", "/")[2]
        temp.server()
        file.write_text(OFFERS.replace("first", "second"))
        temp.process.send_signal(signal.SIGHUP)
        assert until(lambda: "what is offered now: one" in temp.said())
        temp.cookies = {}
        assert "<h1>The second</h1>" in temp.ask("GET", "/")[2]
        file.write_text("[temp.offer.one]")
        temp.process.send_signal(signal.SIGHUP)
        assert until(lambda: "temp has no offer (E-CONFIG). Did you mean offers?" in temp.said())
        assert "<h1>The second</h1>" in temp.ask("GET", "/")[2]
    assert state_left(command) == []


def test_a_choice_outlives_a_killed_service(command: Command) -> None:
    (command.cwd / "moorage.toml").write_text(OFFERS + "capacity = 1\n")
    with running(command) as temp:
        path = temp.server()
        temp.process.kill()
        temp.process.wait()
    with running(command) as again:
        again.cookies = temp.cookies
        assert again.ask("GET", "/")[1] == path
        again.cookies = {}
        assert again.ask("GET", "/offer/one")[0] == 503  # it counts for its offer
    assert state_left(command) == []


def test_a_wrong_file_is_told_before_anything_is_done(command: Command) -> None:
    (command.cwd / "moorage.toml").write_text(OFFERS + "capactiy = 1\n")
    done = command("temp", "--port", "0", "--state", command.runtime / "state", code=2)
    assert "temp.offers.one has no capactiy (E-CONFIG). Did you mean capacity?" in done.stderr


def test_what_the_command_line_serves_counts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "moorage.toml").write_text(OFFERS)
    monkeypatch.chdir(tmp_path)
    parse = build_parser().parse_args
    assert offering_of(parse(["temp", "--capacity", "3"])).settings.capacity == 3
    assert caplog.text == ""
    assert offering_of(parse(["temp", "--command", TOY])).settings.command.called == Path(sys.executable).name
    assert "do not count: --command says what is served" in caplog.text


def test_added_packages_are_there_before_the_page_is(command: Command, tmp_path: Path) -> None:
    made = wheel(tmp_path, "added", "1.0")
    quiet = {"UV_NO_INDEX": "1", "PIP_NO_INDEX": "1"}
    done = command(
        "temp", "--port", "0", "--state", command.runtime / "state", "--with", made.with_name("none.whl"),
        "--command", TOY, code=2, env=quiet,
    )  # fmt: skip
    assert "none.whl cannot be installed (E-USAGE)." in done.stderr
    command.env |= quiet
    with running(command, "--with", made, "--command", TOY) as temp:
        said = temp.said()
        assert said.index("Making an environment with") < said.index("is made") < said.index("Open http")
        env = json.loads(temp.ask("GET", temp.server())[2])["env"]
        assert list(Path(env["VIRTUAL_ENV"]).glob("lib/python*/site-packages/added.py"))
    with running(command, "--with", made, "--command", TOY) as again:
        assert "is there already" in again.said()
    assert state_left(command) == []
