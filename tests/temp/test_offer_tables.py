"""Tables of offers, and what cannot be said in them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from moorage.errors import ConfigurationError
from moorage.plan.egress import NOWHERE, egress_list
from moorage.temp.container_kinds import AskedContainer
from moorage.temp.offer_tables import find_tables, parse_tables
from moorage.temp.shares import AskedShare

BASE = Path("/course")
WHERE = "/course/moorage.toml: temp"


def parsed(text: str):
    return parse_tables(tomllib.loads(text), WHERE, BASE)


def test_all_that_can_be_said() -> None:
    found = parsed("""
        [offers.physics]
        title = "Physics"
        description = "Waves."
        content = "waves"
        branch = "main"
        open = "a.ipynb"
        server = "notebook"
        python = "envs/physics"
        requirements = ["numpy", "obspy>=1"]
        env = { A = "b" }
        capacity = 3
        spares = 0
        sleep = 600
        brake_after = 900
        egress = ["pypi.org", "*.example.org:8443"]
        invited-only = true
        memory = "1G"
        disk = 5000000
        processes = 64
        cpus = 2
        image = "lab:1"
        user = "1000"
        network = "some"
        mounts = ["data:/data", "/x:/y:rw"]
        [offers.app]
        command = "app {socket}"
        python = "/opt/python"
        requirements = "more.txt"
        egress = "none"
        [offers.other]
    """)
    assert list(found) == ["physics", "app", "other"]
    one = found["physics"]
    assert (one.title, one.description, one.content, one.branch) == ("Physics", "Waves.", "waves", "main")
    assert (one.open, one.server, one.python, one.capacity) == (
        "a.ipynb",
        "notebook",
        BASE / "envs/physics",
        3,
    )
    assert (one.env, one.where, one.base) == ({"A": "b"}, f"{WHERE}.offers.physics", BASE)
    assert (found["app"].python, found["app"].capacity) == (Path("/opt/python"), 0)
    assert (one.requirements, one.requirements_file) == (("numpy", "obspy>=1"), None)
    assert (found["app"].requirements, found["app"].requirements_file) == ((), BASE / "more.txt")
    assert (one.spares, found["app"].spares) == (0, None)
    assert (one.sleep, found["app"].sleep) == (600.0, None)
    assert (one.brake_after, found["app"].brake_after) == (900.0, None)
    assert (one.invited_only, found["app"].invited_only) == (True, None)
    assert one.share == AskedShare(5_000_000, 64, 1 << 30, 2.0)
    assert found["app"].share == AskedShare()
    assert one.container == AskedContainer("lab:1", "1000", "some", ("data:/data", "/x:/y:rw"))
    assert found["app"].container == AskedContainer()
    assert one.egress == egress_list(["pypi.org", "*.example.org:8443"])
    assert (found["app"].egress, found["other"].egress) == (NOWHERE, None)
    assert one.of_processes == ["python", "requirements", "sleep", "egress"]
    assert found["app"].of_processes == ["python", "requirements"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("offer = 1", "temp has no offer (E-CONFIG). Did you mean offers?"),
        ("offers = 1", "temp.offers cannot be 1"),
        ("[offers]\nphysics = 1", "temp.offers.physics cannot be 1"),
        ("[offers.'a b']", "has 'a b', which cannot be a name"),
        ("[offers.a]\ntitel = ''", "temp.offers.a has no titel (E-CONFIG). Did you mean title?"),
        ("[offers.a]\nzzz = ''", "Known are brake_after, branch, capacity"),
        ("[offers.a]\ntitle = ''", "title = '' cannot be (E-CONFIG). It must be a text."),
        ("[offers.a]\ntitle = 1", "It must be a text"),
        ("[offers.a]\ncapacity = true", "It must be a whole number, 1 or more"),
        ("[offers.a]\ncapacity = 0", "It must be a whole number, 1 or more"),
        ("[offers.a]\nrequirements = []", "It must be a list of texts, or the name of a file"),
        ("[offers.a]\nrequirements = [1]", "It must be a list of texts, or the name of a file"),
        ("[offers.a]\nmounts = 'a:/b'", "It must be a list of texts"),
        ("[offers.a]\nimage = 1", "It must be a text"),
        ("[offers.a]\ninvited_only = 1", "It must be true or false"),
        ("[offers.a]\nmemory = '100M'", "It must be a number of bytes from 256M on, as '512M' or '2G'"),
        ("[offers.a]\nmemory = true", "It must be a number of bytes from 256M on"),
        ("[offers.a]\ndisk = 0.5", "It must be a number of bytes from 1M on"),
        ("[offers.a]\nprocesses = 4", "It must be a whole number, 32 or more"),
        ("[offers.a]\ncpus = 0", "It must be a number of processors, 0.01 or more"),
        ("[offers.a]\ncpus = nan", "It must be a number of processors, 0.01 or more"),
        ("[offers.a]\nspares = -1", "It must be a whole number, 0 or more"),
        ("[offers.a]\nsleep = -1", "It must be seconds, 0 or more"),
        ("[offers.a]\nbrake_after = -1", "It must be seconds, 0 or more"),
        ("[offers.a]\negress = 5", "It must be a list of texts"),
        (
            "[offers.a]\negress = ['https://a.org']",
            "It must be HOST or HOST:PORT: https://a.org is no host",
        ),
        ("[offers.a]\nsleep = true", "It must be seconds, 0 or more"),
        ("[offers.a]\nspares = false", "It must be a whole number, 0 or more"),
        ("[offers.a]\nserver = 'lap'", "It must be 'lab' or 'notebook' or 'server'"),
        ("[offers.a]\nserver = 'lab'\ncommand = 'x {socket}'", "command does not go with server"),
        (
            "[offers.a]\nenv = { A = 1 }",
            "env = (not shown) cannot be (E-CONFIG). It must be a table of texts",
        ),
    ],
)
def test_what_cannot_be(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        parsed(text)
    assert said in str(told.value)


def test_dashes_are_read_as_underscores() -> None:
    with pytest.raises(ConfigurationError, match="has no ca-pacity"):
        parsed("[offers.a]\nca-pacity = 1")


def test_where_it_stands(tmp_path: Path) -> None:
    assert find_tables(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text("[tool.moorage.temp.offers.a]\ncapacity = 2\n")
    path, offers = find_tables(tmp_path)
    assert (path, offers["a"].capacity) == (tmp_path / "pyproject.toml", 2)
    assert offers["a"].where == f"{path}: tool.moorage.temp.offers.a"
    (tmp_path / "moorage.toml").write_text("[render]\njobs = 2\n")
    assert find_tables(tmp_path) is None
    (tmp_path / "moorage.toml").write_text("[temp.offers]\n")
    assert find_tables(tmp_path) is None
