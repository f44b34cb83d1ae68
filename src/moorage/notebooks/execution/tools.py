"""What documents are read and pages are made with: versions and configuration of jupytext and nbconvert.

Part of the key of finished documents, so nothing here imports those tools: that would cost more than a cached
notebook may take.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import Path

from moorage.regular import digest_regular, read_regular

_STEMS = ("jupytext", ".jupytext")
CONFIGURATIONS = (
    *(stem + end for stem in _STEMS for end in ("", ".toml", ".yml", ".yaml", ".json")),
    ".jupytext.py",
)
"""Names of jupytext's configuration files (``jupytext.config.JUPYTEXT_CONFIG_FILES``; a test compares)."""

_TEXTS = ("jupytext", "nbformat", "markdown-it-py", "pyyaml")
_PAGES = ("nbconvert", "mistune", "jinja2", "pygments", "bleach", "beautifulsoup4", "jupyterlab-pygments")
_VARIABLES = ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTEXT_CEILING_DIRECTORIES")


class Tools:
    """What one run reads with and makes pages with; each file and version is looked up once.

    Args:
        environ: environment of this process.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._versions: dict[str, str] = {}
        self._configurations: dict[Path, tuple[tuple[str, str], ...]] = {}

    def reading(self, source: Path) -> dict[str, object]:
        """Return what decides how a source becomes a notebook, beside its bytes; empty for notebooks.

        Args:
            source: absolute path of the source.
        """
        if source.suffix == ".ipynb":
            return {}
        return {**self._those(_TEXTS), "configuration": self._configuration(source.resolve().parent)}

    def pages(self) -> dict[str, object]:
        """Return what decides how a notebook becomes a page, beside its folders of templates."""
        variables = {name: self._environ[name] for name in _VARIABLES if name in self._environ}
        return {**self._those(_PAGES), **variables}

    def templates(self) -> tuple[Path, ...]:
        """Return the folders that nbconvert takes templates from, but for its own installation's.

        https://nbconvert.readthedocs.io/en/latest/customizing.html#where-are-nbconvert-templates-installed
        """
        environ, home = self._environ, Path(self._environ.get("HOME", ""))
        share = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
        data = Path(environ.get("JUPYTER_DATA_DIR") or share / "jupyter")
        named = [Path(place) for place in environ.get("JUPYTER_PATH", "").split(os.pathsep) if place]
        places = [*named, data, *(Path(base, "share", "jupyter") for base in ("/usr/local", "/usr"))]
        if sys.platform == "darwin":
            places.append(home / "Library" / "Jupyter")
        own = Path(sysconfig.get_path("data"), "share", "jupyter")
        return tuple(place / "nbconvert" / "templates" for place in places if place != own)

    def _those(self, names: tuple[str, ...]) -> dict[str, str]:
        from importlib.metadata import PackageNotFoundError, version

        for name in names:
            if name not in self._versions:
                try:
                    self._versions[name] = version(name)
                except PackageNotFoundError:
                    self._versions[name] = ""
        return {name: self._versions[name] for name in names}

    def _configuration(self, folder: Path) -> tuple[tuple[str, str], ...]:
        """Return names and digests of the files that jupytext may take settings from, nearest first."""
        known = self._configurations.get(folder)
        if known is None:
            own = tuple(_settings(folder))
            further = self._everywhere() if folder.parent == folder else self._configuration(folder.parent)
            known = self._configurations[folder] = own + further
        return known

    def _everywhere(self) -> tuple[tuple[str, str], ...]:
        environ, home = self._environ, self._environ.get("HOME", "")
        users = environ.get("XDG_CONFIG_HOME", f"{home}/.config:{home}").split(":")
        systems = environ.get("XDG_CONFIG_DIRS", "/usr/local/share/:/usr/share/").split(":")
        folders = [
            place for base in (*users, *systems) if base for place in (Path(base, "jupytext"), Path(base))
        ]
        return tuple(found for place in folders for found in _settings(place))


def _settings(folder: Path) -> list[tuple[str, str]]:
    found = [(name, _content(folder / name)) for name in CONFIGURATIONS]
    try:
        text = read_regular(folder / "pyproject.toml").decode()
        table = tomllib.loads(text).get("tool", {}).get("jupytext") if "jupytext" in text else None
        if table is not None:
            found.append(("pyproject.toml", repr(table)))
    except (OSError, ValueError):  # none, or none that jupytext could read either
        pass
    return [(name, said) for name, said in found if said]


def _content(path: Path) -> str:
    try:
        return digest_regular(path)
    except OSError:
        return ""
