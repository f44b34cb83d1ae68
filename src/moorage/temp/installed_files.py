"""Where the files of JupyterLab and Notebook are that the servers of all visitors share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

SYSTEM = ("/usr/local/share/jupyter", "/usr/share/jupyter")


UNHASHED = frozenset({"static/favicons"})
"""What a server has at these paths is never a visitor's own, although no name there has a hash."""


def shared_folders(environ: Mapping[str, str]) -> dict[str, list[Path]]:
    """Return folders of this environment by the path below a Jupyter server's URL that they are served at.

    Some of them may not be there, or not yet.

    Args:
        environ: variables that servers get.
    """
    added = [each for each in environ.get("JUPYTER_PATH", "").split(os.pathsep) if each]
    data = [Path(each) for each in (*added, f"{sys.prefix}/share/jupyter", *SYSTEM)]
    return {
        "static/lab": [each / "lab/static" for each in data] + _of_package("jupyterlab"),
        "static/notebook": _of_package("notebook"),
        "static/favicons": [each / "favicons" for each in _of_package("jupyter_server")],
        "lab/extensions": [each / "labextensions" for each in data],
    }


def _of_package(name: str) -> list[Path]:
    """Return the folder of a package's own files; nothing of the package is imported."""
    found = importlib.util.find_spec(name)
    return [Path(found.origin).parent / "static"] if found is not None and found.origin is not None else []
