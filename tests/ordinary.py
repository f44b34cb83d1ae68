"""An ordinary user to try things as: oneself, or ``nobody`` where the tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "moorage"
DEADLINE = 120.0
NOBODY = 65534


class Ordinary:
    """Runs programs as that user, in a folder of his own, with a copy of moorage he can read."""

    def __init__(self, folder: Path, uid: int) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.source = folder / "source"
        self.uid = os.getuid() or uid
        self.gid = uid if os.getuid() == 0 else os.getgid()
        self._become: dict[str, Any] = {}
        if os.getuid() == 0:
            self._become = {"user": uid, "group": uid, "extra_groups": []}
        self.home.mkdir()
        os.chown(self.home, self.uid, self.gid)
        shutil.copytree(PACKAGE, self.source / "moorage", ignore=shutil.ignore_patterns("__pycache__"))
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath) + ":/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.source),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.python = self._find_python()

    def start(
        self, *argv: object, env: Mapping[str, str] | None = None, as_root: bool = False, **rest: Any
    ) -> subprocess.Popen[bytes]:
        """Start a program, perhaps as root all the same; the caller ends it."""
        given: dict[str, Any] = {"cwd": self.home, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        given |= {"stderr": subprocess.PIPE, "start_new_session": True}
        given |= {**({} if as_root else self._become), **rest}
        return subprocess.Popen(list(map(str, argv)), env={**self.env, **(env or {})}, **given)

    def run(self, *argv: object, **rest: Any) -> subprocess.CompletedProcess[str]:
        """Run a program and wait for its end."""
        with self.start(*argv, **rest) as process:
            try:
                stdout, stderr = process.communicate(timeout=DEADLINE)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(argv, process.returncode, stdout.decode(), stderr.decode())

    def moorage(self, *words: object, before: Sequence[object] = (), **rest: Any) -> Any:
        """Run the command, perhaps by a program that prepares something ``before``."""
        return self.run(*before, self.python, "-m", "moorage", *words, **rest)

    def equip(self) -> None:
        """Give this user's Python what rendering needs; takes seconds where it has to be installed."""
        wanted = "import ipykernel, jupytext, nbconvert, msgspec, platformdirs, zmq, rich"
        # Ours, if he may read them and his Python is of the same version.
        ours = f"{self.source}{os.pathsep}{sysconfig.get_path('platlib')}"
        for path in (str(self.source), ours):
            version = f"import sys; assert sys.version_info[:2] == {sys.version_info[:2]}; {wanted}"
            if self.run(self.python, "-c", version, env={"PYTHONPATH": path}).returncode == 0:
                self.env["PYTHONPATH"] = path
                return
        environment = self.folder / "environment"
        subprocess.run([self.python, "-m", "venv", "--without-pip", environment], check=True)
        self.python = str(environment / "bin" / "python")
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", self.python]
        extras = ["ipykernel", "jupytext", "nbconvert", "nbformat", "jinja2", "rich"]
        core = ["pyzmq", "msgspec", "platformdirs"]
        env = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_LINK_MODE": "copy"}
        done = subprocess.run(
            [*install, *core, *extras], env=env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"no packages for an ordinary user: {done.stderr.strip()}")

    def _find_python(self) -> str:
        # root's own Python may lie in root's home
        for candidate in (sys.executable, "/usr/bin/python3"):
            new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
            try:
                if self.run(candidate, "-c", new_enough).returncode == 0:
                    return candidate
            except OSError:
                continue
        pytest.skip("there is no Python that an ordinary user could run")


@contextmanager
def ordinary_user(uid: int = NOBODY) -> Iterator[Ordinary]:
    """Yield such a user, root's tests with this uid; his folder goes afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mo-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield Ordinary(folder, uid)
    finally:
        shutil.rmtree(folder)
