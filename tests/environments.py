"""Environments to find: folders like those of every tool, and a real one that runs kernels."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import venv
from pathlib import Path

from moorage.discovery import Around


class Environments:
    """Makes environments that look like the real ones, in a home of their own."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = self.home / "work" / "proj"
        self.project.mkdir(parents=True)
        self.environ = {"HOME": str(self.home), "PATH": os.environ["PATH"]}

    @property
    def around(self) -> Around:
        return Around(self.project, self.environ)

    def venv(self, prefix: Path | str, *, marker: str = "", ipykernel: bool = True) -> Path:
        """Make what looks like a virtual environment; a relative path counts from the project."""
        prefix = self.project / prefix
        self._python(prefix, ipykernel=ipykernel)
        (prefix / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = 3.12.4\n{marker}")
        return prefix

    def conda(self, prefix: Path | str, *, ipykernel: bool = True, python: bool = True) -> Path:
        """Make what looks like one of conda's."""
        prefix = self.project / prefix
        (prefix / "conda-meta").mkdir(parents=True)
        (prefix / "conda-meta/history").touch()
        if python:
            self._python(prefix, ipykernel=ipykernel)
        return prefix

    def kernel(self, prefix: Path, name: str, argv: list[str], language: str = "r") -> Path:
        """Install a kernelspec into an environment."""
        folder = prefix / "share/jupyter/kernels" / name
        folder.mkdir(parents=True)
        content = {"argv": argv, "display_name": name.upper(), "language": language}
        (folder / "kernel.json").write_text(json.dumps(content))
        return folder

    def _python(self, prefix: Path, *, ipykernel: bool) -> None:
        packages = prefix / "lib/python3.12/site-packages"
        packages.mkdir(parents=True)
        (prefix / "bin").mkdir(exist_ok=True)
        (prefix / "bin/python").symlink_to(sys.executable)
        if ipykernel:
            (packages / "ipykernel_launcher.py").touch()


def real_environment(prefix: Path) -> Path:
    """Make a real virtual environment that has this one's ipykernel, and nothing of moorage itself."""
    venv.create(prefix, symlinks=True)
    here = Path(sysconfig.get_paths()["purelib"])
    there = next(prefix.glob("lib/python*/site-packages"))
    for entry in here.iterdir():
        if "moorage" not in entry.name and not entry.name.endswith(".pth"):
            (there / entry.name).symlink_to(entry)
    return prefix
