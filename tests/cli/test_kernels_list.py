"""The list of kernel types: for people, for programs, and in time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from command import Command, until
from moorage.cli import kernels_list
from moorage.cli.kernels_list import about, needs
from moorage.cli.main import main
from moorage.cli.table import Screen
from moorage.discovery import KernelSpec, KernelType, Lack

BOX = Path(__file__).parents[1] / "discovery/files/box"
ODD = BOX.parent / "odd"


class Box:
    """A place."""

    name = "the box"

    def ways(self, kernel, wanted):
        return ("self-bind",)


@pytest.fixture
def typed(moorage: Command):
    """The command with a home, a cache and other people's providers of its own."""
    home = moorage.cwd / "home"
    home.mkdir()
    moorage.env |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": str(BOX)}
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "JUPYTER_PATH", "JUPYTER_DATA_DIR"):
        moorage.env.pop(name, None)
    return moorage


def types(done) -> dict[str, dict]:
    return {each["type"]: each for each in json.loads(done.stdout)["types"]}


def test_people_get_a_table(typed):
    done = typed("kernels", code=0)
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["TYPE", "NAME", "LANGUAGE", "RENDEZVOUS", "FROM"]
    assert any(re.match(r"python3 +Python 3 \(ipykernel\) +python +ipc +\S", row) for row in rows)
    assert any(re.match(r"box/python +Python in a box +python +ipc +the box", row) for row in rows)
    assert "\033" not in done.stdout


def test_where_kernels_run_is_told_where_some_run_elsewhere(capsys):
    here = KernelSpec("ir", ("R", "{connection_file}"), "R", "r")
    there = KernelSpec("ir", ("R", "{connection_file}"), "R there", "r", provider="box", place=Box())
    kernels_list.show([KernelType(here), KernelType(there, where="box.example.org")])
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head[-2:] == ["FROM", "PLACE"]
    assert [(row[0], row[-2:]) for row in rows] == [("ir", ["this", "machine"]), ("box/ir", ["the", "box"])]
    assert kernels_list.about(KernelType(there))["place"] == "the box"
    assert kernels_list.about(KernelType(there))["rendezvous"] == "self-bind"


def test_programs_get_one_document_wherever_the_flag_stands(typed):
    for words in (["kernels", "--json"], ["kernels", "--json", "list"], ["kernels", "list", "--json"]):
        done = typed(*words, code=0)
        found = types(done)
        assert found["spec/python3"] == {
            "type": "spec/python3",
            "called": "python3",
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "where": found["spec/python3"]["where"],
            "place": "this machine",
            "rendezvous": "ipc",
            "launchable": True,
            "why": None,
            "do": None,
            "stale": False,
            "resource_dir": found["spec/python3"]["resource_dir"],
        }
        assert found["box/python"]["where"] == "the box"
        assert done.stderr == ""


def test_one_that_hangs_and_one_that_is_broken_cost_a_line_each(typed):
    end = typed.cwd / "end"
    typed.env |= {"PYTHONPATH": f"{BOX}:{ODD}", "END_OF_HANGING": str(end)}
    done = typed("kernels", code=0)
    assert "python3" in done.stdout
    told = done.stderr.splitlines()
    assert "note: hanging has not answered yet; list again in a moment" in told
    assert any(line.startswith("warning: broken failed: ModuleNotFoundError: ") for line in told)
    assert any(line.startswith("warning: misnamed failed: ValueError: ") for line in told)
    assert len(told) == 4
    remarks = json.loads(typed("kernels", "--json", code=0).stdout)["remarks"]
    assert {"hanging", "broken"} <= {each["provider"] for each in remarks}
    end.touch()  # the process that asks it in the background ends, too


def test_a_slow_one_is_shown_as_it_was_once_it_has_answered(typed):
    # Late at first, for the time it takes is none; what matters is that its answer is there for the next.
    typed.env["BOX_IS_SLOW"] = "1"
    typed("kernels", "--json", code=0)
    kept = Path(typed.env["XDG_CACHE_HOME"]) / "moorage/discovery/box.json"
    assert until(kept.exists, 60)
    assert "box/python" in types(typed("kernels", "--json", code=0))
    assert b"IN_A_BOX" not in kept.read_bytes()


def test_environments_around_are_listed_with_what_they_lack(typed):
    (typed.cwd / "pyproject.toml").touch()
    venv.create(typed.cwd / ".venv", symlinks=True)
    done = typed("kernels", code=0)
    assert re.search(r"^env/\.venv +Python 3\.\d+ \(\.venv\) +python +- ", done.stdout, re.MULTILINE)
    below = done.stdout.partition("Cannot be launched as things are\n")[2].splitlines()
    assert below[0] == "  env/.venv: it has no ipykernel."
    assert below[1].strip().startswith(f"{typed.cwd}/.venv/bin/python -m ensurepip && ")
    assert types(typed("kernels", "--json", code=0))["env/.venv"]["launchable"] is False


def test_the_configuration_leaves_out(typed):
    (typed.cwd / "moorage.toml").write_text("[discovery]\nexclude = ['box/*']")
    assert "box/python" not in types(typed("kernels", "--json", code=0))
    (typed.cwd / "moorage.toml").write_text("[discovery]\nexclud = []")
    done = typed("kernels", code=2)
    assert "Did you mean exclude?" in done.stderr


def test_nothing_at_all(capsys, monkeypatch):
    from moorage.discovery import listing

    monkeypatch.setattr(listing.Finder, "survey", lambda *_: listing.Listing(()))
    assert main(["kernels"]) == 0
    assert "pip install ipykernel" in capsys.readouterr().out


def test_what_is_lacking_in_words():
    spec = KernelSpec("x", (), "X", "x", provider="p")
    screen = Screen(30, colour=False)
    lacking = KernelType(spec, lack=Lack("the machine is off", "Turn it on and wait for a minute"))
    assert needs(lacking, screen) == [
        "  p/x: the machine is off.",
        "    Turn it on and wait for a\n    minute.",
    ]
    assert needs(KernelType(spec), screen) == []
    assert about(lacking)["rendezvous"] is None


def test_the_actions_cost_nothing_before_one_is_carried_out():
    code = "import sys; from moorage.cli import kernels, {0}; print(*sys.modules)"
    actions = ", ".join(f"kernels_{each}" for each in ("install", "list", "ps", "show", "stop"))
    done = subprocess.run(
        [sys.executable, "-c", code.format(actions)], check=True, capture_output=True, text=True
    )
    assert set(done.stdout.split()).isdisjoint({"asyncio", "zmq", "moorage.discovery.finder", "rich"})
