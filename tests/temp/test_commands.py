"""What a server is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from moorage.errors import MissingExtra, UsageError
from moorage.plan.containers import ContainerKind
from moorage.temp import commands
from moorage.temp.commands import KNOWN, contained, known_command, own_command
from moorage.temp.interpreters import Interpreter


def test_jupyterlab_gets_no_token_in_its_arguments() -> None:
    pytest.importorskip("jupyterlab")
    command = known_command("lab")
    filled = command.filled(base_path="/user/a", socket="/x/s", port="0", token="secret")
    assert filled[:4] == (sys.executable, "-P", "-m", "jupyterlab")
    assert "--ServerApp.sock=/x/s" in filled
    assert "--ServerApp.base_url=/user/a/" in filled
    assert not any("secret" in word for word in filled)
    assert (command.landing, command.opens, command.jupyter) == ("lab", "lab/tree/{path}", True)


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_not_installed_is_said_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Interpreter(Path("/x/python"), (3, 9), frozenset())
    monkeypatch.setattr(commands, "own_interpreter", lambda: bare)
    with pytest.raises(MissingExtra, match=r"is not installed \(E-EXTRA\).*-m pip install \w"):
        known_command(name)


def test_an_own_command() -> None:
    command = own_command("app 'two words' --at {socket} --base={base_path} {token}x{token}")
    assert command.called == "app"
    assert command.filled(base_path="/b/", socket="/s", port="0", token="t") == (
        "app", "two words", "--at", "/s", "--base=/b/", "txt"
    )  # fmt: skip
    assert command.uses("socket")
    assert not command.uses("port")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("app", "needs either"),
        ("", "needs either"),
        ("app {socket} {port}", "needs either"),
        ("app {socket} {user}", "no placeholder"),
        ("app {socket} {}", "no placeholder"),
        ("app '{socket}", "cannot be read"),
    ],
)
def test_commands_that_cannot_be(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        own_command(line)


def test_what_opens_first(tmp_path: Path) -> None:
    pytest.importorskip("jupyterlab")
    (tmp_path / "a b.ipynb").write_text("{}")
    command = known_command("lab")
    assert command.landing_in(tmp_path, "") == command.landing_in(None, "") == "lab"
    assert command.landing_in(tmp_path, "a b.ipynb") == "lab/tree/a%20b.ipynb"
    (tmp_path / "index.ipynb").write_text("{}")
    assert command.landing_in(tmp_path, "") == "lab/tree/index.ipynb"
    for name in ("c.ipynb", f"../{tmp_path.name}/index.ipynb"):
        with pytest.raises(UsageError, match="no such file"):
            command.landing_in(tmp_path, name)
    with pytest.raises(UsageError, match="cannot be told"):
        own_command("app {socket}").landing_in(tmp_path, "index.ipynb")
    assert own_command("app {socket}").stripped
    assert not own_command("app {socket} {base_path}").stripped
    assert not command.stripped


def test_a_server_of_another_environment() -> None:
    old = Interpreter(Path("/x/python"), (3, 9), frozenset({"notebook"}))
    assert known_command("notebook", old).argv[:4] == ("/x/python", "-I", "-m", "notebook")
    with pytest.raises(MissingExtra, match=r"/x/python has no module jupyterlab"):
        known_command("lab", old)


def test_settings_of_a_file_have_no_dashes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^command needs either"):
        own_command("app", dashes="")
    command = own_command("app {socket}")
    with pytest.raises(UsageError, match="Leave open out"):
        command.landing_in(tmp_path, "a", dashes="")


def test_a_server_of_an_image_is_found_by_its_path() -> None:
    kind = ContainerKind("image", network="some")
    command = contained("notebook", "", kind)
    assert (command.argv[0], command.container, command.jupyter) == ("jupyter-notebook", kind, True)
    assert contained("", "", kind).argv[0] == "jupyter-lab"
    own = contained("", "app {port} {base_path}", kind)
    assert (own.argv, own.container, own.jupyter) == (("app", "{port}", "{base_path}"), kind, False)


@pytest.mark.parametrize(
    ("name", "line", "kind", "said"),
    [
        ("", "", ContainerKind(""), "^image is missing"),
        ("lab", "app {socket}", ContainerKind("i"), "command does not go with server"),
        ("", "app {port}", ContainerKind("i"), r"command with \{port\} cannot be with network none"),
        ("", "app {port}", ContainerKind("i", network="host"), "cannot be with network host"),
    ],
)
def test_what_cannot_run_in_a_container(name: str, line: str, kind: ContainerKind, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        contained(name, line, kind, dashes="")
