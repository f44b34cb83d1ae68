"""Importing jupytext and nbformat without what they do not need here, and making plain what they return."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from moorage.errors import MissingExtra
from moorage.installed import install_line
from moorage.late_imports import OF_JSONSCHEMA, late, standing_in

# What importing jupytext or nbformat drags in without need, with its cost where JupyterLab is installed:
# - isoduration loads arrow (0.08 s). jsonschema takes it as optional, to check the string format "duration",
#   which no notebook schema has.
# - jupytext's contents managers load Jupyter Server and its web stack (0.37 s) to edit text notebooks there;
#   jupytext takes them as optional, too.
_NEEDLESS_TO_JSONSCHEMA = ("isoduration",)
_MANAGERS = ("jupytext.sync_contentsmanager", "jupytext.async_contentsmanager", "jupytext.contentsmanager")
# Functions that are called later if at all: markdown_it (0.03 s) reads MyST documents alone.
_LATE_OF_JUPYTEXT = {
    "markdown_it": "MarkdownIt",
    "mdit_py_plugins.front_matter": "front_matter_plugin",
    "mdit_py_plugins.myst_blocks": "myst_block_plugin",
    "mdit_py_plugins.myst_role": "myst_role_plugin",
}
_importing = threading.RLock()


@contextmanager
def lean_imports() -> Iterator[None]:
    """Inside, imports of nbformat, nbconvert or jupytext leave out what they do not need (about 1.5 s).

    The modules left out look as if they were not installed, or as if they had one function, which loads them
    when it is called: to the importing thread and to any other that imports them in the same moment;
    afterwards they can be imported as ever. What was already loaded stays as it is. A process that imported
    jsonschema in here does not check the string format "duration". Threads take turns.
    """
    with _importing:
        stands_in: dict[str, ModuleType | None] = {}
        if "jsonschema" not in sys.modules:
            stands_in |= dict.fromkeys(_NEEDLESS_TO_JSONSCHEMA) | late(OF_JSONSCHEMA)
        if "jupytext" not in sys.modules:
            stands_in |= dict.fromkeys(_MANAGERS) | late(_LATE_OF_JUPYTEXT)
        try:
            with standing_in(stands_in):
                yield
        finally:
            if stands_in and "jupytext" in sys.modules:
                _give_managers_back(sys.modules["jupytext"])


def load_jupytext() -> ModuleType:
    """Import jupytext without what reading a text does not need; any thread may call it, at any time.

    Where JupyterLab is installed this takes 0.4 s instead of 1.8 s. jupytext stays complete: its classes for
    Jupyter Server are loaded when they are first asked for.

    Raises:
        MissingExtra: jupytext is not installed.
    """
    with lean_imports():
        try:
            return importlib.import_module("jupytext")
        except ModuleNotFoundError as error:
            raise MissingExtra(
                "Text documents need jupytext",
                why=f"There is no module {error.name}",
                do=f"Type: {install_line('render')}",
            ) from None


def plain(value: Any) -> Any:
    """Turn nbformat's nodes, and what YAML makes of dates, into plain JSON values."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _give_managers_back(jupytext: ModuleType) -> None:
    """Replace the stubs that jupytext keeps for its contents managers by loading them on demand."""
    for name, value in list(vars(jupytext).items()):
        if getattr(value, "__qualname__", "").startswith("reraise.<locals>"):
            delattr(jupytext, name)

    def on_demand(name: str) -> Any:
        if not name.startswith("_"):
            for module in _MANAGERS:
                try:
                    found = importlib.import_module(module)
                except ImportError:
                    continue
                if hasattr(found, name):
                    return getattr(found, name)
        raise AttributeError(f"module 'jupytext' has no attribute {name!r}")

    vars(jupytext)["__getattr__"] = on_demand
