"""The flags of ``moorage render``."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import fields

from moorage.cli.complaints import OK, USAGE
from moorage.cli.main import main
from moorage.notebooks.planning.settings import RenderSettings


@pytest.fixture
def given(monkeypatch):
    """Return a function that gives the sources and flags a command line comes to."""
    calls = []

    def session(sources, flags, stdout, stderr, *, warden):
        calls.append((list(sources), dict(flags)))
        return OK

    monkeypatch.setattr("moorage.cli.session.render_session", session)

    def given(*words: str):
        assert main(["render", *words]) == OK
        return calls.pop()

    return given


def test_a_flag_not_given_is_left_to_the_configuration(given):
    assert given("a.py") == (["a.py"], {})


def test_every_setting_has_its_flag(given):
    values = {
        "jobs": "3",
        "retries": "2",
        "isolate": "none",
        "rendezvous": "ipc",
        "param": "a=1",
        "env": "A=1",
    }
    for field in fields(RenderSettings):
        flag = "--" + field.name.replace("_", "-")
        is_switch = isinstance(field.default, bool)
        words = [flag] if is_switch else [flag, values.get(field.name, "x")]
        _, flags = given("a.py", *words)
        assert list(flags) == [field.name]


def test_sources_may_stand_on_both_sides_of_flags(given):
    sources, flags = given("a.py", "-j", "2", "b.py", "--quiet", "c.py")
    assert sources == ["a.py", "b.py", "c.py"]
    assert flags == {"jobs": 2, "quiet": True}


def test_what_may_be_repeated_is_collected(given):
    _, flags = given("a.py", "--param", "a=1", "--param", "b=2", "--artifacts", "*.gif", "--env", "A=b=c")
    assert flags == {"param": ["a=1", "b=2"], "artifacts": ["*.gif"], "env": ["A=b=c"]}


@pytest.mark.parametrize("words", [["--kernel-arg", "--debug"], ["--kernel-arg=--debug"]])
def test_arguments_of_the_kernel_look_like_flags(given, words):
    assert given("a.py", *words) == (["a.py"], {"kernel_arg": ["--debug"]})


def test_files_to_write_are_paths(given):
    _, flags = given("a.py", "-o", "site", "--junit", "r/j.xml", "--json", "-")
    assert flags == {"out": Path("site"), "junit": Path("r/j.xml"), "json": Path("-")}


def test_a_source_that_looks_like_a_flag_stands_after_two_dashes(given):
    assert given("--quiet", "--", "-x.py")[0] == ["-x.py"]


@pytest.mark.parametrize("words", [["--jo", "2"], ["--no-c"], ["--rep", "x"]])
def test_nothing_is_abbreviated(words, capsys):
    assert main(["render", "a.py", *words]) == USAGE
    assert "there is no flag" in capsys.readouterr().err


def test_a_kernel_that_does_not_exist_has_its_code_and_nothing_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.ipynb").write_text("{}")
    assert main(["render", "a.ipynb", "--kernel", "pyhton3"]) == USAGE
    told = capsys.readouterr()
    assert told.err.startswith("error: no kernel type is called pyhton3 (E-NO-KERNEL). Did you mean python3")
    assert told.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]
