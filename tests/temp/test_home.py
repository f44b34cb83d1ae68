"""Private directories of servers."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from moorage.errors import OutputError
from moorage.temp import home
from moorage.temp.home import NOTICE, copy_tree, make_home, read_home

NAMES = ("MoorageProvisioner", "LabApp", "ServerApp", "KeptKernels", "SessionManager")
pytestmark = pytest.mark.anyio


@pytest.fixture
def content(tmp_path: Path) -> Path:
    made = tmp_path / "content"
    (made / "sub" / "deep").mkdir(parents=True)
    (made / "a.ipynb").write_text("{}")
    (made / "sub" / "run.sh").write_text("x")
    (made / "sub" / "run.sh").chmod(0o555)
    (made / "sub" / "deep").chmod(0o555)
    (made / "link").symlink_to("a.ipynb")
    (made / "nowhere").symlink_to("/nowhere")
    os.mkfifo(made / "pipe")
    return made


async def test_a_copy_is_the_visitors_own(tmp_path: Path, content: Path) -> None:
    home = await make_home(tmp_path / "home", content)
    assert sorted(path.name for path in home.work.iterdir()) == ["a.ipynb", "link", "nowhere", "sub"]
    assert (home.work / "link").readlink() == Path("a.ipynb")
    assert stat.S_IMODE((home.work / "sub" / "run.sh").stat().st_mode) == 0o755
    (home.work / "sub" / "deep" / "new").write_text("x")
    (home.work / "a.ipynb").write_text("changed")
    assert (content / "a.ipynb").read_text() == "{}"
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.token_file.stat().st_mode) == 0o600
    assert home.token_file.read_text() == home.token
    assert home.token not in repr(home)
    assert read_home(home.path) == home


async def test_no_secret_of_the_operator_gets_into_the_environment(tmp_path: Path) -> None:
    home = await make_home(tmp_path / "home", None)
    base = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HOME": "/root",
        "JUPYTER_CONFIG_DIR": "/c",
        "XDG_DATA_HOME": "/d",
        "CONFIGPROXY_AUTH_TOKEN": "x",
        "XPATH": "x",
    }
    env = home.environment(base, {"MORE": "1"}, jupyter=True)
    assert env["HOME"] == str(home.path / "home")
    assert env["JUPYTER_TOKEN_FILE"] == str(home.token_file)
    assert {"PATH", "LC_ALL", "MORE"} <= set(env)
    assert set(env) & set(base) == {"PATH", "LC_ALL", "HOME"}
    assert home.token not in env.values()
    assert env["JUPYTER_PATH"] == str(NOTICE)
    for base, more in (({"JUPYTER_PATH": "/a"}, {}), ({}, {"JUPYTER_PATH": "/a"})):
        assert home.environment(base, more, jupyter=True)["JUPYTER_PATH"] == f"{NOTICE}{os.pathsep}/a"
    assert "JUPYTER_TOKEN_FILE" not in home.environment(base, {}, jupyter=False)


async def test_what_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be made"):
        await make_home(tmp_path / "no" / "home", None)
    with pytest.raises(OutputError, match="cannot be made"):
        await make_home(tmp_path, None)


async def test_cancelling_ends_the_copying(tmp_path: Path, content: Path) -> None:
    for number in range(200):
        (content / f"{number}").write_text("x")
    task = asyncio.create_task(make_home(tmp_path / "home", content))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    there = {str(path) for path in tmp_path.rglob("*")}
    await asyncio.sleep(0.05)
    assert {str(path) for path in tmp_path.rglob("*")} == there


async def test_cancelling_twice_leaves_nothing_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, made = threading.Event(), []

    def slow(*_: object) -> None:
        go_on.wait()
        made.append(True)

    monkeypatch.setattr(home, "_make", slow)
    task = asyncio.create_task(make_home(tmp_path / "home", None))
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made


async def test_a_copy_that_is_stopped_goes_no_further(tmp_path: Path, content: Path) -> None:
    stop = threading.Event()
    stop.set()
    (tmp_path / "into").mkdir()
    copy_tree(content, tmp_path / "into", stop)
    assert list((tmp_path / "into").iterdir()) == []


async def test_a_server_that_may_sleep_is_told_how_its_kernels_are_found(tmp_path: Path) -> None:
    home = await make_home(tmp_path / "one", None, tmp_path / "it's" / "warden")
    told = (home.path / "home/.jupyter/jupyter_server_config.py").read_text()
    said: dict[str, SimpleNamespace] = defaultdict(SimpleNamespace)
    exec(told, {"get_config": lambda: SimpleNamespace(**{n: said[n] for n in NAMES})})
    assert said["KeptKernels"].warden == f"{tmp_path}/it's/warden"
    assert said["KeptKernels"].records == str(home.kernels)
    assert said["ServerApp"].kernel_manager_class.endswith("KeptKernels")
    other = await make_home(tmp_path / "two", None)
    assert "KeptKernels" not in (other.path / "home/.jupyter/jupyter_server_config.py").read_text()
