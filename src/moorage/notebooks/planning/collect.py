"""Which documents a run is about, and where each one's output goes.

A file named on the command line always counts. In folders, a file counts when it looks like a document
(:func:`~moorage.notebooks.documents.document.is_document`) or the configuration's ``documents`` name it.
A text and a notebook of the same name in one folder are one document in two files, of which the text is the
source (or as ``pairs`` says). Outputs mirror the sources' tree from the common ancestor of what was named.
"""

from __future__ import annotations

import difflib
import glob
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct, field, structs

from moorage.errors import UsageError
from moorage.notebooks.globs import matches
from moorage.notebooks.planning.settings import Configuration
from moorage.notebooks.planning.unmatched import Pattern, unmatched
from moorage.notebooks.planning.walk import walk
from moorage.notebooks.relative import RealPaths, named_from

DEFAULT_OUT = Path("rendered")


class SourceFile(Struct, frozen=True):
    """One document to render.

    Attributes:
        path: absolute path of the source.
        name: the same relative to the run's root, with forward slashes and suffix: ``a/x.py``.
        output: absolute path of the notebook to write.
    """

    path: Path
    name: str
    output: Path


class Collection(Struct, frozen=True):
    """Everything a run is about.

    Attributes:
        files: the documents, in the order named and walked.
        root: common ancestor of the folders and of the files' folders that were named.
        out_dir: folder of the outputs, absolute.
        out_file: the file ``-o`` named, absolute, when it named one; its suffix may differ from the output's.
        notes: what the user should hear, one sentence each.
        warnings: what may not be as the user thinks, one sentence each.
    """

    files: tuple[SourceFile, ...]
    root: Path
    out_dir: Path
    out_file: Path | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def placed(self, folder: Path) -> Collection:
        """Return the same documents, whose outputs go into another folder, side by side."""
        files = tuple(structs.replace(file, output=folder / file.output.name) for file in self.files)
        return structs.replace(self, files=files, out_dir=folder)


class _Gathering(Struct):
    """What has been found so far.

    Attributes:
        files: the documents, in order.
        named: those that were asked for by name.
        tops: folders that were named, and those of files that were.
        walked: folders that were walked.
        met: patterns of the configuration that a file or folder of a walk matched.
        empty: folders without documents, with what is to be said of them.
    """

    files: dict[Path, None] = field(default_factory=dict)
    named: set[Path] = field(default_factory=set)
    tops: list[Path] = field(default_factory=list)
    walked: list[Path] = field(default_factory=list)
    met: set[Pattern] = field(default_factory=set)
    empty: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def collect(
    sources: Sequence[str | Path], *, out: Path | None, configuration: Configuration, cwd: Path
) -> Collection:
    """Find the documents that ``sources`` name and decide where their outputs go. Writes nothing.

    Args:
        sources: files, folders and globs, relative to ``cwd``.
        out: folder for the outputs, or a file for the only one; None for ``rendered/``.
        configuration: for ``pairs``, ``documents`` and ``exclude``.
        cwd: absolute working directory.

    Raises:
        UsageError: a source is missing or no document, nothing was found, or two sources have one output.
    """
    _check_named(sources)
    out_path = _absolute(cwd, out or DEFAULT_OUT)
    gathering = _Gathering()
    for source in sources:
        _gather(os.fspath(source), cwd, out_path, configuration, gathering)
    if gathering.empty and not gathering.files:
        raise _nothing_found(gathering, cwd)
    gathering.notes += [f"{top}: no notebooks found" for top in gathering.empty]
    paths = _without_pairs(gathering, configuration, cwd)
    root = Path(os.path.commonpath(gathering.tops))
    out_file = _as_file(out, out_path, paths)
    out_dir = out_path if out_file is None else out_file.parent
    doubled = _doubled(paths) if configuration.pairs == "both" else set()
    files = []
    for path in paths:
        name = named_from(root, path)
        place = f"{name}.ipynb" if path in doubled else f"{name.removesuffix(path.suffix)}.ipynb"
        output = out_dir / place if out_file is None else out_file.with_suffix(".ipynb")
        files.append(SourceFile(path, name, output))
    _check_outputs(files, cwd)
    names = [named_from(configuration.root, path) for path in paths]
    missed = unmatched(configuration, names, gathering.met, gathering.walked)
    gathering.warnings += [f"{_short(configuration.path or '', cwd)}: {each}" for each in missed]
    return Collection(
        files=tuple(files),
        root=root,
        out_dir=out_dir,
        out_file=out_file,
        notes=tuple(gathering.notes),
        warnings=tuple(gathering.warnings),
    )


def _check_named(sources: Sequence[str | Path]) -> None:
    if not sources:
        raise UsageError("nothing to render was named", do="Name files or folders: moorage render demos/")
    if not all(map(os.fspath, sources)):
        raise UsageError(
            "an empty path was named", why="A variable of the shell may be unset", do="Name files or folders"
        )


def _absolute(cwd: Path, path: str | Path) -> Path:
    """Return the path from the root, without ``..``; symbolic links stay, their names are the user's."""
    return Path(os.path.normpath(cwd / path))


def _known() -> frozenset[str]:
    from moorage.notebooks.documents.formats import MARKDOWN, SCRIPTS

    return frozenset({".ipynb", *SCRIPTS, *MARKDOWN})


def _gather(source: str, cwd: Path, out: Path, configuration: Configuration, into: _Gathering) -> None:
    path = _absolute(cwd, source)
    mode = _mode(path, source)
    if stat.S_ISDIR(mode):
        into.tops.append(path)
        _gather_folder(path, out, configuration, into)
    elif stat.S_ISREG(mode):
        into.tops.append(path.parent)
        _gather_file(path, source, into)
    elif mode:
        raise UsageError(f"{source} is neither a file nor a folder")
    elif expanded := _expanded(source, cwd):
        known = _known()
        for each in expanded:  # what else the glob meets is hardly meant
            if (cwd / each).is_dir() or Path(each).suffix in known:
                _gather(each, cwd, out, configuration, into)
    else:
        raise _missing(source, path)


def _mode(path: Path, source: str) -> int:
    """Return what kind of file is there, 0 for none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise UsageError(f"{source} cannot be reached", why=str(error.strerror)) from error


def _expanded(source: str, cwd: Path) -> list[str]:
    """Do what the user's shell did not: quoted globs, and ``**`` where it means nothing."""
    if not glob.has_magic(source):
        return []
    return sorted(glob.glob(source, root_dir=cwd, recursive=True))  # noqa: PTH207 - may be absolute


def _gather_file(path: Path, source: str, into: _Gathering) -> None:
    known = _known()
    if path.suffix not in known:
        raise UsageError(
            f"{source} is no document moorage knows",
            why=f"its suffix is {path.suffix!r}" if path.suffix else "it has no suffix",
            do=f"Known are {', '.join(sorted(known, key=str.lower))}",
        )
    into.files.setdefault(path)
    into.named.add(path)


def _gather_folder(top: Path, out: Path, configuration: Configuration, into: _Gathering) -> None:
    from moorage.notebooks.documents.document import is_document

    def relative(path: Path) -> str:
        """Return the name patterns count for: from the configuration's folder, or else from the walk's."""
        return named_from(configuration.root if path.is_relative_to(configuration.root) else top, path)

    def met(key: str, patterns: Sequence[str], path: Path) -> bool:
        if not patterns:
            return False
        name = relative(path)
        matching = [(key, each) for each in patterns if matches(name, each)]
        into.met.update(matching)
        return bool(matching)

    def leave_out(path: Path) -> bool:
        return path == out or met("exclude", configuration.exclude, path)

    into.walked.append(top)
    found = walk(top, suffixes=_known(), leave_out=leave_out)
    into.notes += found.notes
    for path in found.files:
        named = met("documents", configuration.documents, path)
        if named or path in into.files or is_document(path, ()):
            into.files.setdefault(path)
    if not any(path.is_relative_to(top) for path in into.files):
        skipped = ", ".join(path.relative_to(top).as_posix() + "/" for path in found.left_out[:5])
        told = [f"not entered: {skipped}"] if skipped else []
        if found.made:
            told.append(f"moorage wrote {', '.join(path.name for path in found.made[:5])} itself")
        into.empty.append(f"{top} ({'; '.join(told)})" if told else f"{top}")


def _nothing_found(gathering: _Gathering, cwd: Path) -> UsageError:
    return UsageError(
        f"no notebooks found in {' and '.join(_short(top, cwd) for top in gathering.empty)}",
        why="In folders a script counts when it has a jupytext header, a cell marker (# + or # %%) or "
        "matches `documents` in the configuration; hidden, built and gitignored files never count",
        do="Name the files themselves: a file named on the command line always counts",
    )


def _missing(source: str, path: Path) -> UsageError:
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    try:
        names = [each.name for each in parent.iterdir()]
    except OSError:
        names = []
    near = [str(parent / name) for name in difflib.get_close_matches(path.name, names, n=3)]
    return UsageError(f"{source} is not there", do=f"Did you mean {' or '.join(near)}?" if near else "")


def _short(path: str | Path, cwd: Path) -> str:
    return str(path).removeprefix(f"{cwd}{os.sep}")


def _doubled(paths: Iterable[Path]) -> set[Path]:
    """Return the texts that stand beside a notebook of the same name."""
    notebooks = {path.with_suffix("") for path in paths if path.suffix == ".ipynb"}
    return {path for path in paths if path.suffix != ".ipynb" and path.with_suffix("") in notebooks}


def _without_pairs(gathering: _Gathering, configuration: Configuration, cwd: Path) -> list[Path]:
    """Leave one file of each name; the one that was named, or else as ``pairs`` says."""
    if configuration.pairs == "both":
        return list(gathering.files)
    from moorage.notebooks.documents.pairs import is_pair

    dropped, unpaired = set(), []
    for text in sorted(_doubled(gathering.files)):
        notebook = text.with_suffix(".ipynb")
        source, other = (text, notebook) if configuration.pairs == "text" else (notebook, text)
        if other in gathering.named and source not in gathering.named:
            source, other = other, source
        dropped.add(other)
        if not is_pair(text, notebook):
            unpaired.append((source, other))
        elif other in gathering.named:
            gathering.notes.append(
                f"{_short(other, cwd)} is one document with its {'notebook' if other == text else 'text'}, "
                f"which is the source (pairs = {configuration.pairs!r} in the configuration)"
            )
    if unpaired:
        gathering.warnings.append(_unpaired(unpaired, configuration, cwd))
    return [path for path in gathering.files if path not in dropped]


def _unpaired(files: list[tuple[Path, Path]], configuration: Configuration, cwd: Path) -> str:
    """Return a sentence about texts beside notebooks of the same name that no pair are.

    Args:
        files: what is rendered and what is not.
        configuration: where to say otherwise.
        cwd: absolute working directory.
    """
    source, other = files[0]
    more = f", nor are {len(files) - 1} more such files" if len(files) > 1 else ""
    file = configuration.path.name if configuration.path else "moorage.toml"
    name = named_from(configuration.root, other)
    return (
        f"{_short(other, cwd)} is not rendered{more}: {source.name} beside it is, though jupytext does not "
        "pair the two. "
        f'Exclude one (exclude = ["{name}"] in {file}), render both (pairs = "both"), or pair them '
        f"(jupytext's formats: ipynb,{(source if other.suffix == '.ipynb' else other).suffix[1:]})"
    )


def _as_file(out: Path | None, out_path: Path, paths: list[Path]) -> Path | None:
    from moorage.notebooks.documents.document import SUFFIXES

    if out is None or out_path.suffix not in SUFFIXES or out_path.is_dir():
        return None
    if len(paths) != 1:
        raise UsageError(f"-o {out} is one file, but there are {len(paths)} sources", do="Give -o a folder")
    return out_path


def _check_outputs(files: Iterable[SourceFile], cwd: Path) -> None:
    outputs: dict[str, SourceFile] = {}
    real_path = RealPaths()
    for file in files:
        real = real_path(file.output)
        if real in outputs:
            first = outputs[real]
            raise UsageError(
                f"{_short(first.path, cwd)} and {_short(file.path, cwd)} would both be written to "
                f"{_short(file.output, cwd)}",
                do="Name one of them, or exclude one in the configuration",
            )
        outputs[real] = file
