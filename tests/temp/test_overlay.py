"""Environments over other ones, with packages that lie in a folder: no index is asked."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.temp import overlay
from moorage.temp.interpreters import Interpreter, look_at
from moorage.temp.overlay import WHOLE, Requirements, overlaid

pytestmark = pytest.mark.anyio


def wheel(folder: Path, name: str, version: str, *needs: str) -> Path:
    """Make a wheel with one module, which knows its version."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in needs)
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in files.items():
            archive.writestr(each, text)
    return path


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "lower", "1.0")
    wheel(folder, "lower", "2.0")
    wheel(folder, "added", "1.0", "lower")
    wheel(folder, "newer", "1.0", "lower>=2")
    for tool in ("UV", "PIP"):
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def below(tmp_path: Path, wheels: Path) -> Interpreter:
    """An environment that has lower 1.0, and pip by way of another one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "below"], check=True)
    (site,) = (tmp_path / "below/lib").glob("python*/site-packages")
    zipfile.ZipFile(wheels / "lower-1.0-py3-none-any.whl").extractall(site)
    pip = pytest.importorskip("pip")
    (site / "pip").symlink_to(Path(pip.__file__).parent)
    (site / f"pip-{pip.__version__}.dist-info").mkdir()
    (site / f"pip-{pip.__version__}.dist-info/METADATA").write_text(
        f"Metadata-Version: 2.1\nName: pip\nVersion: {pip.__version__}\n"
    )
    return look_at(tmp_path / "below")


@pytest.fixture(params=["uv", "pip"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    found = str(Path(sys.executable).with_name("uv")) if request.param == "uv" else None
    if found and not Path(found).exists():
        pytest.skip("there is no uv")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: found)
    return request.param


def says(python: Interpreter, code: str) -> str:
    words = [python.program, "-I", "-c", code]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout.strip()


def own(python: Interpreter) -> list[str]:
    """Names of what is installed in an overlay itself."""
    (site,) = (python.program.parent.parent / "lib").glob("python*/site-packages")
    return sorted(path.name for path in site.glob("*.dist-info"))


async def test_what_is_there_below_is_not_installed_again(
    tmp_path: Path, below: Interpreter, tool: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = await overlaid(below, Requirements(("added",), None, tmp_path), tmp_path / "all")
    assert says(made, "import added, lower; print(added.version, lower.version)") == "1.0 1.0"
    assert own(made) == ["added-1.0.dist-info"]
    assert "Making an environment with added: this may take a while" in caplog.text
    assert made.below == tmp_path / "below"
    variables = made.variables({"PATH": "/bin"})
    assert variables["PATH"] == f"{made.program.parent}:{tmp_path}/below/bin:/bin"
    assert variables["JUPYTER_PATH"] == f"{tmp_path}/below/share/jupyter"
    assert says(below, "import importlib.util as u; print(u.find_spec('added'))") == "None"


async def test_what_is_too_old_below_is_installed_above(
    tmp_path: Path, below: Interpreter, tool: str
) -> None:
    made = await overlaid(below, Requirements(("newer",), None, tmp_path), tmp_path / "all")
    assert says(made, "import lower; print(lower.version)") == "2.0"
    assert says(below, "import lower; print(lower.version)") == "1.0"


async def test_a_second_start_takes_the_same_one_and_a_change_another(
    tmp_path: Path, below: Interpreter, tool: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = tmp_path / "requirements.txt"
    file.write_text("-r more.txt\n")
    (tmp_path / "more.txt").write_text("added\n")
    wanted = Requirements((), file, tmp_path)
    first = await overlaid(below, wanted, tmp_path / "all")
    assert own(first) == ["added-1.0.dist-info"]
    caplog.clear()
    assert await overlaid(below, wanted, tmp_path / "all") == first
    assert "is there already" in caplog.text
    (tmp_path / "more.txt").write_text("added\nnewer\n")
    second = await overlaid(below, wanted, tmp_path / "all")
    assert (second.program != first.program, len(own(second))) == (True, 3)


async def test_one_that_was_not_finished_is_made_anew(tmp_path: Path, below: Interpreter, tool: str) -> None:
    wanted = Requirements(("added",), None, tmp_path)
    made = await overlaid(below, wanted, tmp_path / "all")
    place = made.program.parent.parent
    (place / WHOLE).unlink()
    (place / "left").write_text("x")
    assert await overlaid(below, wanted, tmp_path / "all") == made
    assert (place / WHOLE).is_file()
    assert not (place / "left").exists()


async def test_relative_paths_belong_to_the_folder_of_what_names_them(
    tmp_path: Path, below: Interpreter, wheels: Path, tool: str
) -> None:
    wanted = Requirements((f"./{wheels.name}/added-1.0-py3-none-any.whl",), None, tmp_path)
    assert own(await overlaid(below, wanted, tmp_path / "all")) == ["added-1.0.dist-info"]


async def test_a_failure_says_what_the_installer_said_and_is_not_believed(
    tmp_path: Path, below: Interpreter, tool: str
) -> None:
    with pytest.raises(UsageError) as told:
        await overlaid(below, Requirements(("no-such-thing",), None, tmp_path), tmp_path / "all")
    assert "no-such-thing cannot be installed (E-USAGE). " in str(told.value)
    assert told.value.why.count("no-such-thing")
    assert not list((tmp_path / "all").glob(f"*/{WHOLE}"))


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        (("-e", "x"), "", "'-e' is no requirement"),
        (("a\nb",), "", "is no requirement"),
        ((" ",), "", "is no requirement"),
        ((), "none.txt", "There is no such file"),
    ],
)
async def test_what_is_no_requirement(tmp_path: Path, words: tuple[str, ...], name: str, said: str) -> None:
    file = tmp_path / name if name else None
    with pytest.raises(UsageError, match=said):
        await overlaid(look_at(Path(sys.executable)), Requirements(words, file, tmp_path), tmp_path / "all")


async def test_without_an_installer_that_is_said(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(UsageError, match="There is neither uv nor pip"):
        await overlaid(look_at(tmp_path / "bare"), Requirements(("added",), None, tmp_path), tmp_path / "all")


async def test_cancelling_ends_the_installer_and_the_next_call_begins_anew(
    tmp_path: Path, below: Interpreter, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    words = [
        sys.executable,
        "-c",
        f"import os, time; open({str(pipe)!r}, 'w').write(str(os.getpid())); time.sleep(600)",
    ]

    async def hang(*_: object) -> None:
        await overlay._run(words, Requirements(("x",), None, tmp_path), lock)

    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    wanted = Requirements(("added",), None, tmp_path)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(overlay, "_install", hang)
            async with asyncio.TaskGroup() as tasks:
                making = tasks.create_task(overlaid(below, wanted, tmp_path / "all"))
                pid = int(await asyncio.to_thread(pipe.read_text))
                making.cancel()
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        made = await overlaid(below, wanted, tmp_path / "all")
        assert own(made) == ["added-1.0.dist-info"]
    finally:
        os.close(lock)
