"""``--bundle FILE.tar.gz``: everything a website needs, in one archive that is always the same.

Layout, for documents and artefacts that mirror the sources' tree:

- a notebook moves up by one directory, ``mantle/base_case/base_case.ipynb`` becomes
  ``mantle/base_case.ipynb``, so that a case is a page and not a folder with one page in it; a notebook
  directly in a top directory stays (``smoothing/smoothing.ipynb``), and so do two that would meet;
- everything else stays where it is, artefacts in the directory of their case. A site generator with
  directory URLs serves ``mantle/base_case.ipynb`` as ``mantle/base_case/``, and relative links to
  ``film.gif`` find ``mantle/base_case/film.gif``;
- hidden files of the sources' directories (``.pages``, ``.diagram.mermaid``) come along, private ones not.

The same contents give the same bytes: members sorted, owner 0, times 0 or SOURCE_DATE_EPOCH
(https://reproducible-builds.org/specs/source-date-epoch/).
"""

from __future__ import annotations

import fnmatch
import gzip
import os
import stat
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from msgspec import Struct

from moorage.errors import OutputError, UsageError
from moorage.notebooks.output.atomic import cannot_write, whole_file
from moorage.notebooks.output.guard import UNGUARDED, Guard
from moorage.notebooks.output.named import TAR_COMMENT, ZIP_COMMENT
from moorage.regular import open_regular

Format = Literal["tar", "tar.gz", "zip"]

_SUFFIXES: dict[str, Format] = {".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar": "tar", ".zip": "zip"}
_PRIVATE = (
    *(".env*", ".git*", ".hg*", ".*rc", ".*history*", ".pgpass", ".htpasswd", ".*secret*", ".*token*"),
    *(".*passw*", ".*credential*", ".*key*", ".*.sw?", ".*.lock", ".*lock*", ".#*", ".*.tmp", ".nfs*"),
    *(
        ".DS_Store",
        ".coverage*",
        ".python-version",
        ".dockerenv",
        ".fuse_hidden*",
        ".*.moorage-*",
        ".moorage*",
    ),
)
_ZIP_BEGINS = 315532800  # 1980-01-01, the first day a zip file knows


class Member(Struct, frozen=True):
    """One file of a bundle: its name there, with forward slashes, and where it is now."""

    name: str
    path: Path


def bundle_format(target: Path) -> Format:
    """Return the format a bundle's name asks for.

    Raises:
        UsageError: none of ``.tar``, ``.tar.gz``, ``.tgz``, ``.zip``.
    """
    for suffix, form in _SUFFIXES.items():
        if target.name.lower().endswith(suffix):
            return form
    why = "The suffix says the format, and this one is not known"
    raise UsageError(f"cannot bundle into {target.name}", why=why, do=f"End it in {', '.join(_SUFFIXES)}")


def layout(
    documents: Mapping[str, Path],
    artifacts: Mapping[str, Path],
    hidden: Mapping[str, Path],
    *,
    renames: Mapping[str, str] | None = None,
) -> tuple[Member, ...]:
    """Return the members of a bundle, sorted by name.

    Args:
        documents: rendered documents by their path relative to the output folder.
        artifacts: artefacts likewise; all must be there.
        hidden: hidden files by their path relative to the sources' root.
        renames: new names for hidden files (``.pages`` to ``CONTENTS.md``), by old name.

    Raises:
        OutputError: a file is missing.
    """
    missing = sorted(n for n, path in {**documents, **artifacts, **hidden}.items() if not path.is_file())
    if missing:
        why = "These were to be in it and are not there: " + ", ".join(missing)
        raise OutputError("cannot make the bundle", why=why, do="See which notebook should have made them")
    wanted = {name: flattened(name) for name in documents}
    often = Counter([*wanted.values(), *artifacts])
    members = {}
    for name, path in hidden.items():
        pure = PurePosixPath(name)
        members[str(pure.with_name((renames or {}).get(pure.name, pure.name)))] = path
    members |= artifacts
    for name, path in documents.items():
        alone = often[wanted[name]] == 1 and (wanted[name] == name or wanted[name] not in documents)
        members[wanted[name] if alone else name] = path
    return tuple(Member(name, members[name]) for name in sorted(members))


def flattened(name: str) -> str:
    """Return where a document goes: a notebook up by one directory, unless that is a top directory."""
    parts = PurePosixPath(name).parts
    if len(parts) < 3 or not name.endswith(".ipynb"):
        return name
    return "/".join((*parts[:-2], parts[-1]))


def hidden_files(root: Path, sources: Iterable[str]) -> dict[str, Path]:
    """Return the hidden files of the directories that lead from ``root`` to the sources.

    Left out: directories, links that lead out of the tree, files only their owner may read, and names that
    smell of secrets or belong to tools (``.env``, ``.git*``, ``.*rc``, ``.*history*``, ``.*key*`` ...).

    Args:
        root: the sources' root.
        sources: paths of the sources relative to it, with forward slashes.

    Returns:
        Paths by their name relative to ``root``.
    """
    folders = {parent for source in sources for parent in PurePosixPath(source).parents}
    found = {}
    for folder in folders:
        try:
            paths = list((root / folder).iterdir())
        except OSError:
            continue
        for path in paths:
            private = any(fnmatch.fnmatch(path.name, known) for known in _PRIVATE)
            if path.name.startswith(".") and not private and _public(path, root):
                found[str(folder / path.name)] = path
    return found


def write_bundle(
    target: Path,
    members: Iterable[Member],
    *,
    epoch: int | None = None,
    guard: Guard = UNGUARDED,
    follow: bool = True,
) -> None:
    """Write the archive, whole or not at all.

    Args:
        target: its suffix says the format.
        members: what goes in.
        epoch: time of every member, in seconds; default is SOURCE_DATE_EPOCH, else 0.
        guard: deletes the temporary file should moorage be killed.
        follow: see :func:`moorage.notebooks.output.atomic.whole_file`.

    Raises:
        UsageError: the suffix is not known.
        OutputError: a member cannot be read or the archive not be written.
    """
    form = bundle_format(target)
    when = _epoch() if epoch is None else epoch
    ordered = sorted(members, key=lambda member: member.name)
    with whole_file(target, guard=guard, follow=follow) as file:
        if form == "zip":
            _zip(file, ordered, when)
        elif form == "tar":
            _tar(file, ordered, when)
        else:
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=when) as packed:
                _tar(packed, ordered, when)


def _tar(file: IO[bytes] | gzip.GzipFile, members: Iterable[Member], when: int) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, pax_headers=TAR_COMMENT) as archive:
        for member in members:
            with _reading(member) as content:
                status = os.fstat(content.fileno())
                info = tarfile.TarInfo(member.name)
                info.size, info.mtime, info.mode = status.st_size, when, _mode(status)
                archive.addfile(info, content)


def _zip(file: IO[bytes], members: Iterable[Member], when: int) -> None:
    date = time.gmtime(max(when, _ZIP_BEGINS))[:6]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = ZIP_COMMENT
        for member in members:
            with _reading(member) as content:
                info = zipfile.ZipInfo(member.name, date)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.create_system = 3
                status = os.fstat(content.fileno())
                info.external_attr = (stat.S_IFREG | _mode(status)) << 16
                info.file_size = status.st_size
                with archive.open(info, "w") as entry:
                    while block := content.read(1024 * 1024):
                        entry.write(block)


def _reading(member: Member) -> IO[bytes]:
    try:
        return open_regular(member.path)
    except OSError as error:
        raise cannot_write(member.path, error) from error


def _mode(status: os.stat_result) -> int:
    return 0o755 if status.st_mode & stat.S_IXUSR else 0o644


def _public(path: Path, root: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    inside = path.resolve().is_relative_to(root.resolve())
    return inside and stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o044)


def _epoch() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(text) if text.isdigit() else 0
