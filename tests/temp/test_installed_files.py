"""Where installed files are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from moorage.proxy.shared_files import SharedFiles
from moorage.temp.installed_files import UNHASHED, shared_folders


def test_more_folders_come_first(tmp_path: Path) -> None:
    folders = shared_folders({"JUPYTER_PATH": f"{tmp_path}::/x"})
    assert folders["lab/extensions"][:2] == [tmp_path / "labextensions", Path("/x/labextensions")]


def test_what_is_not_installed_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert shared_folders({})["static/notebook"] == []


@pytest.mark.parametrize(
    ("module", "path", "pattern"),
    [
        ("jupyterlab", "static/lab", "jlab_core.*.js"),
        ("notebook", "static/notebook", "notebook_core.*.js"),
        ("jupyter_server", "static/favicons", "favicon*.ico"),
        ("jupyterlab_pygments", "lab/extensions", "jupyterlab_pygments/static/remoteEntry.*.js"),
    ],
)
def test_installed_files_are_found(module: str, path: str, pattern: str) -> None:
    pytest.importorskip(module, reason=f"{module} is not installed here")
    folders = shared_folders({})
    files = SharedFiles(folders, UNHASHED)
    names = [each.relative_to(folder) for folder in folders[path] for each in folder.glob(pattern)]
    assert names
    assert all(files.find(f"/{path}/{name}".encode()) for name in names)
