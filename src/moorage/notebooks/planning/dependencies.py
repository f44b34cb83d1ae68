"""Which notebook waits for which, what must be there, and which links one needs while it runs.

A notebook says what it ``needs`` (notebooks and files), which files it reads (``inputs``) and which it makes
(``outputs``), all relative to its own folder. A need that names a notebook of the run, or a file that one of
them makes, is an order between the two; any other file must exist.

Names are compared; files are neither read nor written.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from moorage.errors import UsageError
from moorage.notebooks.globs import matches
from moorage.notebooks.planning.settings import NotebookSettings


class Declared(Struct, frozen=True):
    """One notebook of the run and what is said about it; ``path`` is its absolute source."""

    name: str
    path: Path
    settings: NotebookSettings


class FileLink(Struct, frozen=True):
    """A symbolic link at ``place`` that leads to ``target`` while a notebook runs; both absolute."""

    place: Path
    target: Path


class Resolved(Struct, frozen=True):
    """What one notebook waits for.

    Attributes:
        needs: names of the notebooks that must have ended well before.
        links: to place while it runs.
        missing: one sentence for each need that can never be met: "needs x.h5, which no notebook makes".
    """

    needs: frozenset[str] = frozenset()
    links: tuple[FileLink, ...] = ()
    missing: tuple[str, ...] = ()


class Dependencies(Struct, frozen=True):
    """What every notebook waits for, by name; ``notes`` are for the user."""

    notebooks: Mapping[str, Resolved]
    notes: tuple[str, ...] = ()


def resolve(notebooks: Sequence[Declared], *, exists: Callable[[Path], bool] = Path.exists) -> Dependencies:
    """Find out which notebook waits for which.

    Circles are not looked for here: :class:`moorage.plan.schedule.Schedule` refuses them.

    Args:
        notebooks: all of the run.
        exists: says whether a file is there.

    Raises:
        UsageError: two notebooks of one folder want different files under one name.
    """
    makers = [
        (_pattern(each.path.parent, output), each.name)
        for each in notebooks
        for output in each.settings.outputs
    ]
    resolved = {each.name: _resolve(each, notebooks, makers, exists) for each in notebooks}
    placed: dict[Path, tuple[Path, str]] = {}
    for name, each in resolved.items():
        for link in each.links:
            target, first = placed.setdefault(link.place, (link.target, name))
            if target != link.target:
                raise UsageError(
                    f"{first} and {name} want different files as {link.place}",
                    why=f"{target} and {link.target}",
                    do="Give one of them another name with `as`",
                )
    return Dependencies(resolved, tuple(_made_twice(makers)))


def _pattern(folder: Path, text: str) -> str:
    """Return an absolute pattern; what looks like a wildcard in the folder's own name means itself."""
    return os.path.normpath(Path(glob.escape(os.fspath(folder))) / text)


def _resolve(
    notebook: Declared,
    notebooks: Sequence[Declared],
    makers: Sequence[tuple[str, str]],
    exists: Callable[[Path], bool],
) -> Resolved:
    folder = notebook.path.parent

    def made_by(path: Path) -> set[str]:
        return {
            name for pattern, name in makers if name != notebook.name and matches(os.fspath(path), pattern)
        }

    needs: set[str] = set()
    links, missing = [], []
    for need in notebook.settings.needs:
        path = Path(os.path.normpath(folder / need.file))
        others = _named(path, notebooks) or made_by(path)
        needs |= others
        if not others and not exists(path):
            missing.append(f"needs {need.file}, which no notebook makes")
        if need.name is not None and folder / need.name != path:
            links.append(FileLink(folder / need.name, path))
    for text in notebook.settings.inputs:
        if not glob.has_magic(text):  # globs over a shared folder would make circles that are not meant
            needs |= made_by(Path(os.path.normpath(folder / text)))
    return Resolved(frozenset(needs), tuple(links), tuple(missing))


def _named(path: Path, notebooks: Sequence[Declared]) -> set[str]:
    """Return the notebook a need names: by its source, or by the other half of the pair."""
    exact = {each.name for each in notebooks if each.path == path}
    if exact or path.suffix != ".ipynb":
        return exact
    return {each.name for each in notebooks if each.path.with_suffix(".ipynb") == path}


def _made_twice(makers: Iterable[tuple[str, str]]) -> Iterator[str]:
    first: dict[str, str] = {}
    for pattern, name in makers:
        other = first.setdefault(pattern, name)
        if other != name and not glob.has_magic(pattern):
            yield f"{other} and {name} both say they make {pattern}"
