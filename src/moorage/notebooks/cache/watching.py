"""Having a kernel watched: what it is told before its first cell, and what its children leave.

``watch.py`` does the work inside.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

_SCRIPT = Path(__file__).with_name("watch.py")
MOST_LOGGED = 64 * 1024 * 1024
"""Of what children leave no more is read (bytes)."""

# Any Python may be started as a child, so this is as old as it gets. What was done to find its way here is
# undone first; the site's own module of this name has its turn afterwards.
_SITECUSTOMIZE = """
import os
import sys

folder = {folder!r}
others = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each and each != folder]
if others:
    os.environ["PYTHONPATH"] = os.pathsep.join(others)
else:
    os.environ.pop("PYTHONPATH", None)
sys.path[:] = [each for each in sys.path if each != folder]
sys.path_importer_cache.pop(folder, None)
try:
    from importlib import util
    spec = util.spec_from_file_location("moorage_watch", {script!r})
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.watch(folder, {project!r}, child=True)
except Exception:
    import json
    with open(os.path.join(folder, "log"), "a") as log:
        log.write(json.dumps(["program", "another Python", 0]) + "\\n")
this = sys.modules.pop(__name__)
try:
    import sitecustomize
except ImportError:
    sys.modules.setdefault(__name__, this)
"""


class Watching:
    """One kernel's folder; use it as ``with``, which removes it.

    Args:
        within: a private directory.
        project: absolute folders whose files are inputs wherever they lie.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, within: Path, project: Iterable[Path]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="w", dir=within))
        self.started_ns = time.time_ns()
        """``time.time_ns()`` before the kernel was told."""
        self._project = [str(path) for path in project]
        values = {"folder": str(self._folder), "script": str(_SCRIPT), "project": self._project}
        (self._folder / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(**values), "utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def expression(self) -> str:
        """A Python expression for the kernel, which begins to watch it; it leaves no name and no module."""
        begin = f"module.watch_kernel({str(self._folder)!r}, {self._project!r})"
        return (
            "(lambda util: (lambda spec: (lambda module: (spec.loader.exec_module(module), "
            f"{begin})[1])(util.module_from_spec(spec)))"
            f"(util.spec_from_file_location('moorage_watch', {str(_SCRIPT)!r})))"
            "(__import__('importlib.util').util)"
        )

    def log(self) -> bytes:
        """Return what children of the kernel said so far."""
        try:
            with (self._folder / "log").open("rb") as file:
                return file.read(MOST_LOGGED)
        except FileNotFoundError:
            return b""
