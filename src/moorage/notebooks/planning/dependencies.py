"""Which notebook waits for which, what must be there, and the links placed while one runs.

A notebook says what it ``needs`` (notebooks and files), which files it reads (``inputs``) and which it makes
(``outputs``), all relative to its own folder. A need that names a notebook of the run, or a file that one of
them makes, is an order between the two; any other file must exist.

:func:`resolve` only compares names. What touches files stands below it.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePath

from msgspec import Struct

from moorage.errors import DocumentError, OutputError, UsageError
from moorage.notebooks.globs import matches
from moorage.notebooks.output.atomic import Guard, no_guard
from moorage.notebooks.planning.settings import NotebookSettings
from moorage.regular import raise_if_ended

LinkGuard = Callable[[Path, str], None]
"""Told of each link, before it is made, its place and what it will say."""

MOST_INPUTS = 100_000
"""A notebook that declares more input files than this is refused."""


class Declared(Struct, frozen=True):
    """One notebook of the run and what is said about it; ``path`` is its absolute source."""

    name: str
    path: Path
    settings: NotebookSettings


class Link(Struct, frozen=True):
    """A symbolic link at ``place`` that leads to ``target`` while a notebook runs; both absolute."""

    place: Path
    target: Path


class Resolved(Struct, frozen=True):
    """What one notebook waits for.

    Attributes:
        needs: names of the notebooks that must have ended well before.
        links: to place while it runs.
        missing: one sentence for each need that can never be met: "needs x.h5, which nobody makes".
    """

    needs: frozenset[str] = frozenset()
    links: tuple[Link, ...] = ()
    missing: tuple[str, ...] = ()


class Dependencies(Struct, frozen=True):
    """What every notebook waits for, by name; ``notes`` are for the user."""

    notebooks: Mapping[str, Resolved]
    notes: tuple[str, ...] = ()


def resolve(notebooks: Sequence[Declared], *, exists: Callable[[Path], bool] = Path.exists) -> Dependencies:
    """Find out who waits for whom.

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
            missing.append(f"needs {need.file}, which nobody makes")
        if need.name is not None and folder / need.name != path:
            links.append(Link(folder / need.name, path))
    for text in notebook.settings.inputs:
        if not glob.has_magic(text):  # globs over a shared folder would make circles nobody meant
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


def _no_guard(_place: Path, _says: str) -> None:
    """Guard nothing."""


class Links:
    """The links of a run; notebooks of one folder that run at once share those they have in common.

    Args:
        guard: told each link before it is made, so that nothing stays when moorage is killed; what a notebook
            puts in the link's place is its user's, and stays.
        unguard: told the same link once it is gone.
    """

    def __init__(self, *, guard: LinkGuard = _no_guard, unguard: Guard = no_guard) -> None:
        self._guard = guard
        self._unguard = unguard
        self._users: dict[Link, int] = {}

    @contextmanager
    def placed(self, links: Iterable[Link]) -> Iterator[None]:
        """Have the links in place within the block, and take them away afterwards, however it ends.

        A link or file of the user's that already leads to the target is used and left alone.

        Raises:
            OutputError: something else is in a link's place, or it cannot be made.
        """
        with ExitStack() as stack:
            for link in links:
                if self._place(link):
                    stack.callback(self._remove, link)
            yield

    def _place(self, link: Link) -> bool:
        """Make one link; return whether it is ours to remove."""
        if self._users.get(link, 0):
            self._users[link] += 1
            return True
        if os.path.lexists(link.place):
            if os.path.realpath(link.place) == os.path.realpath(link.target):
                return False
            raise OutputError(
                f"{link.place} is in the way of a link to {link.target}", do="Move it, or use another name"
            )
        self._guard(link.place, _way(link))
        try:
            link.place.symlink_to(_way(link))
        except OSError as error:
            self._unguard(link.place)
            raise OutputError(f"{link.place} cannot be made a link", why=str(error.strerror)) from error
        self._users[link] = 1
        return True

    def _remove(self, link: Link) -> None:
        self._users[link] -= 1
        if self._users[link]:
            return
        del self._users[link]
        with suppress(OSError):  # gone, or replaced by something of the notebook's own, which stays
            if os.fspath(link.place.readlink()) == _way(link):
                link.place.unlink()
        self._unguard(link.place)


def _way(link: Link) -> str:
    """Return the relative path from a link to its target, right also where folders are links themselves."""
    target = os.path.join(os.path.realpath(link.target.parent), link.target.name)  # noqa: PTH118 - realpath gives text
    return os.path.relpath(target, os.path.realpath(link.place.parent))


def missing_outputs(notebook: Path, outputs: Iterable[str]) -> tuple[str, ...]:
    """Return those declared outputs that are not there.

    Args:
        notebook: absolute path of the source.
        outputs: paths or globs relative to its folder.
    """
    return tuple(each for each in outputs if not _found(notebook.parent, each))


def input_files(notebook: Path, settings: NotebookSettings) -> tuple[Path, ...]:
    """Return every file the notebook says it reads (``inputs`` and ``needs``) that is there, sorted.

    Of a folder all files below it count. Pipes, devices and sockets count nowhere.

    Raises:
        DocumentError: it names one of these by its own name, or more than 100,000 files.
        OSError: there is no use for the answer any more, see :data:`moorage.regular.reading_ends`.
    """
    files: set[Path] = set()
    for text in (*settings.inputs, *(need.file for need in settings.needs)):
        for path in _found(notebook.parent, text):
            if path.is_dir():
                files.update(_files_below(path))
            elif _is_special(path) and glob.has_magic(text):
                continue
            elif _is_special(path):
                raise DocumentError(
                    f"{notebook} cannot read its input {text}",
                    why=f"{path} is a pipe, a device or a socket and no regular file",
                    do="Name a file, or leave it out",
                )
            else:
                files.add(path)
            if len(files) > MOST_INPUTS:
                raise DocumentError(
                    f"{notebook} has too many inputs",
                    why=f"With {text} they are more than {MOST_INPUTS} files",
                    do="Name those files that the notebook reads",
                )
    return tuple(sorted(files))


def _files_below(top: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, behind links to folders too, until they are too many."""
    count, seen = 0, set()
    for folder, below, names in os.walk(top, followlinks=True):
        raise_if_ended()
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()  # a link led here before
            continue
        seen.add(real)
        for path in (Path(folder, name) for name in names):
            if not _is_special(path):
                yield path
                count += 1
        if count > MOST_INPUTS:
            return


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False  # missing, which is a state like any other
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _found(folder: Path, text: str) -> list[Path]:
    path = Path(os.path.normpath(folder / text))
    if path.exists():
        return [path]
    if not glob.has_magic(text):
        return []
    return sorted(set(_expanded(folder, PurePath(text).parts)))


def _expanded(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """Yield what a pattern matches, hidden files too; no folder is looked at twice for one part of it."""
    parts = tuple(part for at, part in enumerate(parts) if part != "**" or parts[at - 1 : at] != ("**",))
    seen: set[tuple[int, int, int]] = set()
    todo = [(folder, 0)]
    while todo:
        raise_if_ended()
        path, at = todo.pop()
        if at == len(parts):
            yield Path(os.path.normpath(path))
        elif glob.has_magic(parts[at]):
            todo += _entered(path, parts, at, seen)
        elif os.path.lexists(path / parts[at]):
            todo.append((path / parts[at], at + 1))


def _entered(
    folder: Path, parts: tuple[str, ...], at: int, seen: set[tuple[int, int, int]]
) -> Iterator[tuple[Path, int]]:
    """Yield what one part of a pattern leads to: a path, and which part comes next."""
    part = parts[at]
    for entry in _entries(folder, at, seen):
        if part != "**":
            if matches(entry.name, part):
                yield folder / entry.name, at + 1
        elif entry.is_dir():
            yield folder / entry.name, at
        elif at + 1 == len(parts):
            yield folder / entry.name, at + 1
    if part == "**":
        yield folder, at + 1


def _entries(folder: Path, at: int, seen: set[tuple[int, int, int]]) -> list[os.DirEntry[str]]:
    """List a folder; nothing where it was listed for this part of the pattern already, by a link maybe."""
    try:
        status = folder.stat()
        mark = (status.st_dev, status.st_ino, at)
        if mark in seen:
            return []
        seen.add(mark)
        with os.scandir(folder) as entries:
            return list(entries)
    except (OSError, ValueError):
        return []
