"""Files a notebook makes beside its outputs: animations, data, figures.

What is collected, from the notebook's directory:

- by a glob (``--artifacts "*.gif"``): files that are new or changed since :func:`snapshot`;
- by a plain name among the declared ``outputs``: that file, touched or not, and its absence is told;
- a pattern that names a directory means every file below it.

``*`` and ``**`` pass over hidden files, ``__pycache__``, installed packages and links to directories;
``.pages`` or ``.*`` name hidden ones. ``..`` may lead as far as the run's root and no symbolic link further.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from msgspec import Struct, field

from moorage.errors import UsageError
from moorage.notebooks.globs import matches
from moorage.regular import raise_if_ended

_MAGIC = re.compile(r"[*?\[]")
_NEVER = frozenset({"__pycache__", "node_modules", "site-packages"})


class Artifact(Struct, frozen=True):
    """One file to collect.

    Attributes:
        name: path relative to the notebook's directory, with forward slashes.
        path: where it is.
        changed: whether this run made or changed it.
    """

    name: str
    path: Path
    changed: bool


class Snapshot(Struct, frozen=True):
    """What was there before a run.

    Attributes:
        directory: the notebook's directory.
        root: the run's root.
        patterns: globs, all of them.
        exclude: folders nothing is collected from (the output folder, the cache).
        states: inode, size and mtime_ns of each file that matched, by path.
    """

    directory: Path
    root: Path
    patterns: tuple[str, ...]
    exclude: tuple[Path, ...] = ()
    states: dict[Path, tuple[int, int, int]] = field(default_factory=dict)


class Comparison(Struct, frozen=True):
    """What is there after a run.

    Attributes:
        artifacts: files to collect, sorted by name.
        missing: declared outputs that are not there.
    """

    artifacts: tuple[Artifact, ...]
    missing: tuple[str, ...]


def snapshot(
    directory: Path, patterns: Iterable[str], *, root: Path, exclude: Sequence[Path] = ()
) -> Snapshot:
    """Return what matches now; take it before the kernel starts.

    Args:
        directory: the notebook's directory, which patterns are relative to.
        patterns: globs and declared outputs.
        root: the run's root.
        exclude: folders nothing is collected from.

    Raises:
        UsageError: a pattern is empty or leads out of ``root``.
    """
    folder, top = directory.resolve(), root.resolve()
    before = Snapshot(folder, top, tuple(patterns), tuple(path.resolve() for path in exclude))
    for pattern in before.patterns:
        check_pattern(pattern, folder, top)
        for path in _matches(before, pattern):
            before.states[path] = _state(path)
    return before


def compare(before: Snapshot, *, outputs: Iterable[str] = ()) -> Comparison:
    """Return what to collect after the run.

    Args:
        before: the state before it; its patterns are looked for again.
        outputs: declared outputs, relative to the notebook's directory.
    """
    found: dict[Path, Artifact] = {}
    missing = []
    for pattern in before.patterns:
        for path in _matches(before, pattern):
            if before.states.get(path) != _state(path):
                found[path] = _artifact(before, path, changed=True)
    for pattern in outputs:
        paths = list(_matches(before, pattern))
        if not paths:
            missing.append(pattern)
        for path in paths:
            changed = before.states.get(path) != _state(path)
            if changed or not _MAGIC.search(pattern):
                found.setdefault(path, _artifact(before, path, changed=changed))
    return Comparison(tuple(sorted(found.values(), key=lambda one: one.name)), tuple(missing))


def place(artifact: Artifact, into: Path, *, within: Path | None = None) -> Path:
    """Return where an artefact goes: the same relative path from ``into``.

    Args:
        artifact: what is collected.
        into: folder of the notebook's output.
        within: a ``..`` leads no further than this folder; default is ``into``.
    """
    target = Path(os.path.normpath(into / artifact.name))
    if target.is_relative_to(within or into):
        return target
    return into.joinpath(*(part for part in PurePosixPath(artifact.name).parts if part != ".."))


def collect(
    artifacts: Iterable[Artifact],
    into: Path,
    *,
    within: Path | None = None,
    put: Callable[[Path, Path], None],
) -> tuple[Path, ...]:
    """Copy artefacts beside the output and return where they are; each appears whole or not at all.

    Nothing is linked: a later run that changes the file in place would change the collected one with it.

    Args:
        artifacts: what is collected.
        into: folder of the notebook's output.
        within: a ``..`` leads no further than this folder; default is ``into``.
        put: copies to a place (the first argument) a file, whole or not at all.

    Raises:
        OutputError: a file cannot be read or written, or is not to be written over.
    """
    placed = []
    for artifact in artifacts:
        target = place(artifact, into, within=within)
        if not (target.exists() and target.samefile(artifact.path)):
            put(target, artifact.path)
        placed.append(target)
    return tuple(placed)


def check_pattern(pattern: str, directory: Path, root: Path) -> None:
    """Check that a pattern stays within the run's root.

    Raises:
        UsageError: it does not, or there is nothing in it.
    """
    if not pattern.strip():
        raise UsageError("an artefact pattern is empty", do="Give a glob such as '*.gif'")
    if os.path.isabs(pattern):  # noqa: PTH117 - a pattern, not a path
        why = "Artefacts are found relative to their notebook"
        raise UsageError(f"the artefact pattern {pattern} is absolute", why=why, do="Give a relative one")
    here = directory
    for part in PurePosixPath(pattern).parts:
        here = here.parent if part == ".." else here / part
        if not here.is_relative_to(root):
            raise UsageError(
                f"the artefact pattern {pattern} leads out of the tree",
                why=f"Nothing outside {root} is collected",
                do="Move the file into the tree, or render from further up",
            )


def _artifact(before: Snapshot, path: Path, *, changed: bool) -> Artifact:
    name = os.path.relpath(path, before.directory).replace(os.sep, "/")
    return Artifact(name, path, changed)


def _state(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _matches(before: Snapshot, pattern: str) -> Iterator[Path]:
    for path in _expand(before.directory, PurePosixPath(pattern).parts, before.root, set()):
        inside = Path(os.path.realpath(path)).is_relative_to(before.root)
        if inside and not any(path.is_relative_to(folder) for folder in before.exclude):
            yield path


_Seen = set[tuple[Path, tuple[str, ...]]]


def _expand(folder: Path, parts: tuple[str, ...], root: Path, seen: _Seen) -> Iterator[Path]:
    """Yield the files below ``folder`` that ``parts`` of a pattern match.

    No folder is looked at twice for the same rest of the pattern: ``**/**/**`` would take exponential time.
    """
    if (folder, parts) in seen:
        return
    seen.add((folder, parts))
    raise_if_ended()
    if not parts:
        yield from _expand(folder, ("**", "*"), root, seen)
        return
    head, rest = parts[0], parts[1:]
    if head == "..":
        if folder != root and folder.parent.is_relative_to(root):
            yield from _expand(folder.parent, rest, root, seen)
    elif head == "**":
        yield from _expand(folder, rest or ("*",), root, seen)
        for below in _folders(folder):
            yield from _expand(below, parts, root, seen)
    elif _MAGIC.search(head):
        for entry in _entries(folder):
            hidden = entry.name.startswith(".") and not head.startswith(".")
            if not hidden and matches(entry.name, head):
                yield from _step(folder / entry.name, rest, root, seen, wild=True)
    else:
        yield from _step(folder / head, rest, root, seen, wild=False)


def _folders(folder: Path) -> Iterator[Path]:
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield folder / entry.name


def _step(path: Path, rest: tuple[str, ...], root: Path, seen: _Seen, *, wild: bool) -> Iterator[Path]:
    if path.is_dir():
        linked = path.is_symlink()
        if (rest or not wild) and not (linked and (wild or not path.resolve().is_relative_to(root))):
            yield from _expand(path, rest, root, seen)
    elif not rest and path.is_file():
        yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name not in _NEVER]
    except OSError:
        return []
    return sorted(found, key=lambda entry: entry.name)
