"""Optional packages that a run needs, looked for before anything is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from moorage.errors import MissingExtra
from moorage.installed import install_line
from moorage.notebooks.planning.settings import RenderSettings


def check_extras(names: Sequence[str], settings: RenderSettings, *, told: bool) -> None:
    """Refuse a run that lacks a package.

    Args:
        names: of the documents.
        settings: of the run.
        told: whether the files that tell of the run are written.

    Raises:
        MissingExtra: what needs it, and the command to type.
    """
    for what, module in _needs(names, settings, told=told):
        if find_spec(module) is None:
            line = f"Type: {install_line('render')}"
            raise MissingExtra(f"{what} needs {module}", why="It is not installed here", do=line)


def _needs(names: Sequence[str], settings: RenderSettings, *, told: bool) -> Iterator[tuple[str, str]]:
    """Yield what needs a package, and the package's module."""
    text = next((name for name in names if not name.endswith(".ipynb")), None)
    if text is not None:
        yield f"reading {text}", "jupytext"
    page = next((form for form in settings.to if form != "ipynb"), None)
    if page is not None:
        yield f"writing {page}", "nbconvert"
    if told and settings.report is not None:
        yield "--report", "jinja2"
