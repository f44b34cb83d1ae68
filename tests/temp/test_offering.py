"""Offers, made of what a configuration says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from moorage.errors import ConfigurationError, UsageError
from moorage.temp.offering import Offering
from moorage.temp.overlay import Requirements
from moorage.temp.settings import TempSettings
from temp.rig import TOY, toy
from temp.test_overlay import wheel

pytestmark = pytest.mark.anyio


def offering(folder: Path, text: str, **settings) -> Offering:
    (folder / "moorage.toml").write_text(text)
    (folder / "state").mkdir(exist_ok=True)
    return Offering(TempSettings(state=folder / "state", command=toy(), **settings), folder)


def table(name: str, *lines: str) -> str:
    command = f"command = '{sys.executable} {TOY} {{socket}} {{base_path}}'"
    return "\n".join([f"[temp.offers.{name}]", command, *lines, ""])


async def test_what_an_offer_says_stands_in_the_place_of_the_services_own(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    text = table("a", "title = 'A'", "content = 'files'", "env = { X = '1' }", "capacity = 2") + table("b")
    found = await offering(tmp_path, text, env={"X": "0", "Y": "0"}, lease=7.0).read()
    assert list(found) == ["a", "b"]
    one, two = found.values()
    assert (one.title, one.limit, one.settings.offer) == ("A", 2, "a")
    assert (one.settings.content, one.settings.lease) == (tmp_path / "files", 7.0)
    assert (one.settings.env, two.settings.env) == ({"X": "1", "Y": "0"}, {"X": "0", "Y": "0"})
    assert (two.title, two.limit, two.settings.content) == ("b", 0, None)


async def test_an_offer_has_a_brake_of_its_own_or_the_services(tmp_path: Path) -> None:
    text = table("a", "brake_after = 60") + table("b") + table("c", "brake_after = 0")
    found = await offering(tmp_path, text, brake_after=1200.0).read()
    assert [each.settings.brake_after for each in found.values()] == [60.0, 1200.0, 0.0]


async def test_an_offer_runs_in_the_environment_that_it_names(tmp_path: Path) -> None:
    made = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    found = await offering(tmp_path, table("a", "python = 'env'")).read()
    assert found["a"].settings.env["VIRTUAL_ENV"] == str(made)
    assert found["a"].settings.env["PATH"].startswith(f"{made}/bin:")
    with pytest.raises(ConfigurationError, match=r"offers.a: JupyterLab is not installed.*env/bin/python"):
        await offering(tmp_path, "[temp.offers.a]\npython = 'env'\n").read()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("content = 'none'", "content none cannot be copied (E-CONFIG). There is no such folder"),
        ("content = 'moorage.toml'", "It is no folder"),
        ("branch = 'main'", "branch goes with a repository as content"),
        ("python = 'none'", "There is no such file"),
        ("open = 'a.ipynb'", "cannot be told what to open first (E-CONFIG). Leave open out"),
    ],
)
async def test_what_cannot_be_is_told_with_its_table(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        await offering(tmp_path, table("good") + table("bad", line)).read()
    assert f"{tmp_path}/moorage.toml: temp.offers.bad: " in str(told.value)
    assert said in str(told.value)


async def test_what_a_failed_reading_has_fetched_is_removed(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True)
    subprocess.run(["git", "init", "-q", tmp_path / "work"], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=b"]
    subprocess.run(
        ["git", "-C", tmp_path / "work", *author, "commit", "-qm", "c", "--allow-empty"], check=True
    )
    subprocess.run(["git", "-C", tmp_path / "work", "push", "-q", bare, "HEAD:main"], check=True)
    good = table("good", "content = 'bare'", "branch = 'main'")
    with pytest.raises(ConfigurationError):
        await offering(tmp_path, good + table("bad", "content = 'none'")).read()
    assert list((tmp_path / "state/content").iterdir()) == []
    found = await offering(tmp_path, good).read()
    assert list((tmp_path / "state/content").iterdir()) == [found["good"].settings.content]


async def test_what_an_earlier_service_has_fetched_goes(tmp_path: Path) -> None:
    left = tmp_path / "state/content/left"
    left.mkdir(parents=True)
    (tmp_path / "state/content/file").write_text("x")
    settings = TempSettings(state=tmp_path / "state", command=toy(), title="T")
    assert [offer.title for offer in (await Offering(settings).read()).values()] == ["T"]
    assert list((tmp_path / "state/content").iterdir()) == []


async def test_a_command_line_is_told_as_one(tmp_path: Path) -> None:
    settings = TempSettings(state=tmp_path, command=toy(), first="a.ipynb")
    with pytest.raises(UsageError, match="Leave --open out"):
        await Offering(settings).read()


async def test_packages_are_added_to_the_environment_of_an_offer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = wheel(tmp_path, "added", "1.0")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    reading = offering(tmp_path, table("a", f"requirements = ['{made}']") + table("b"))
    found = await reading.read()
    place = Path(found["a"].settings.env["VIRTUAL_ENV"])
    assert place.parent == tmp_path / "state/environments"
    assert [path.name for path in place.glob("lib/python*/site-packages/added.py")] == ["added.py"]
    assert "VIRTUAL_ENV" not in found["b"].settings.env
    assert (await reading.read())["a"].settings == found["a"].settings
    with pytest.raises(ConfigurationError, match=r"temp.offers.a: .*none.whl cannot be installed"):
        await offering(tmp_path, table("a", f"requirements = ['{tmp_path}/none.whl']")).read()


async def test_packages_are_added_for_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jupyter_server")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    added = Requirements((str(wheel(tmp_path, "added", "1.0")),), None, tmp_path)
    settings = TempSettings(state=tmp_path, command=toy(), env={"PATH": "/mine"})
    (one,) = (await Offering(settings, added=added, server="server").read()).values()
    assert one.settings.command.argv[0].startswith(f"{tmp_path}/environments/")
    assert one.settings.env["PATH"] == "/mine"
    (one,) = (await Offering(settings, added=added).read()).values()
    assert (one.settings.command, "VIRTUAL_ENV" in one.settings.env) == (toy(), True)
