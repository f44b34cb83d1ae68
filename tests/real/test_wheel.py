"""The wheel, built from this tree and installed where nothing else is: the core alone, then ``[render]``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
UV = [sys.executable, "-m", "uv"]
LIMIT = 600
LAUNCH = """
import moorage
with moorage.blocking.launch("python3") as kernel:
    print(kernel.execute("6 * 7").outputs[0]["data"]["text/plain"])
"""


def run(*words: object, cwd: Path, **rest: object) -> subprocess.CompletedProcess[str]:
    # Nothing of the environment that the tests run in may help.
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "VIRTUAL_ENV", "JUPYTER"))
    }
    env |= {"UV_SYSTEM_CERTS": "1", "HOME": str(cwd)} | (
        {"UV_CACHE_DIR": cache} if (cache := _cache()) else {}
    )
    return subprocess.run(
        [*map(str, words)],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        **rest,
    )


def _cache() -> str:
    return subprocess.run([*UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheel")


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    source = folder / "source"
    for name in ("src", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    done = run(*UV, "build", "--quiet", "--wheel", "--out-dir", folder / "dist", source, cwd=folder)
    assert done.returncode == 0, done.stderr
    (made,) = (folder / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(folder: Path, wheel: Path) -> Path:
    """An interpreter that has the core and nothing else."""
    environment = folder / "environment"
    done = run(*UV, "venv", "--quiet", "--python", sys.executable, environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    install(environment, f"moorage @ {wheel.as_uri()}", cwd=folder)
    return environment / "bin" / "python"


def install(environment: Path, *wanted: str, cwd: Path) -> None:
    done = run(*UV, "pip", "install", "--quiet", "--python", environment, *wanted, cwd=cwd)
    assert done.returncode == 0, done.stderr


def packages(python: Path, cwd: Path) -> set[str]:
    listed = run(*UV, "pip", "list", "--format", "json", "--python", python, cwd=cwd).stdout
    return {each["name"] for each in json.loads(listed)}


def test_the_core_alone_then_with_render(folder: Path, wheel: Path, python: Path) -> None:
    assert packages(python, folder) == {"moorage", "msgspec", "platformdirs", "pyzmq"}
    command = python.with_name("moorage")
    version = run(command, "--version", cwd=folder)
    assert (version.returncode, version.stdout.split()[0]) == (0, "moorage")
    (folder / "x.py").write_text("print(6 * 7)\n")

    lacking = run(command, "render", "x.py", cwd=folder)
    told = f"pip install 'moorage[render] @ {wheel.as_uri()}'"
    assert lacking.returncode == 2
    assert told in lacking.stderr
    assert "Traceback" not in lacking.stdout + lacking.stderr
    assert run(command, "doctor", cwd=folder).stdout.count(told)

    install(python.parent.parent, f"moorage[render] @ {wheel.as_uri()}", cwd=folder)
    rendered = run(
        command, "render", "x.py", "-o", "out", "--to", "ipynb,html", "--report", "r.html", cwd=folder
    )
    assert rendered.returncode == 0, rendered.stderr
    assert "42" in (folder / "out" / "x.html").read_text()
    launched = run(python, "-c", LAUNCH, cwd=folder)
    assert (launched.returncode, launched.stdout) == (0, "42\n"), launched.stderr
