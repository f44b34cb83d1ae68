"""What a run read, made into what its result depends on.

``watch.py`` tells from inside the kernel what was read, made, listed and looked for, and when first. Where it
cannot see (libraries that open files in C, programs of other languages) the text helps: a name in quotes that
is a file counts as read, and one that is none as looked for.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from moorage.notebooks.cache.names import FolderListing, Modules
from moorage.notebooks.cache.store import LARGE, FileState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.notebooks.cache.names import Names
    from moorage.notebooks.cache.store import FileStates

_TICK = 10_000_000
"""A clock's tick, in ns, by which the time of a file's change may be behind."""
_LARGE = 64 * 1024 * 1024
_MEGABYTE = 1024 * 1024
_MOST_NAMES = 2_000
_QUOTED = re.compile(r"""(["'])((?:(?!\1)[^\\\n])+)\1""")
_WORDS = re.compile(r"^\s*[!%]+(.*)$", re.MULTILINE)
_BARE = re.compile(r"^(.*)$", re.MULTILINE)
_FILE = re.compile(r"[^\s*?<>|:{}]+\.\w{1,8}$|[^\s*?<>|:{}]+/[^\s*?<>|:{}]*$")

Seen = tuple[str, str, int]
"""A kind, a path or name, and ``time.time_ns()`` of the first time."""


class KernelReads(Struct, frozen=True):
    """What a kernel says it read; see :class:`moorage.notebooks.cache.watch.ReadWatch`.

    Attributes:
        failed: why that is not all, or empty.
        seen: everything, each once.
        names: modules that were loaded or looked for, but for submodules.
        missing: those of them that are not loaded now.
        local: folders of ``sys.path`` that are no part of an installation.
        installed: its other folders.
        packages: names looked for in the folders of local packages.
    """

    failed: str
    seen: list[Seen]
    names: list[str]
    missing: list[str]
    local: list[str]
    installed: list[str]
    packages: dict[str, list[str]]


_REPORT = msgspec.json.Decoder(KernelReads)
_LINE = msgspec.json.Decoder(Seen)


class Reads(Struct):
    """What a result depends on, beside installed packages.

    Attributes:
        files: states of files that were read, or were not there, by path.
        listings: folders that were listed.
        modules: folders in which modules were looked for.
    """

    files: dict[Path, FileState] = field(default_factory=dict)
    listings: dict[Path, FolderListing] = field(default_factory=dict)
    modules: dict[Path, Modules] = field(default_factory=dict)


def decoded(report: str, log: bytes) -> tuple[KernelReads, list[Seen]] | str:
    """Return what a kernel and its children said, or a sentence why that is not known.

    Args:
        report: the kernel's answer, JSON; empty when it had not been watched.
        log: the children's lines.
    """
    if not report:
        return "what it reads could not be watched"
    try:
        told = _REPORT.decode(report)
        return told, [*told.seen, *map(_LINE.decode, log.splitlines())]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "what it reads could not be understood"


def depends(
    report: KernelReads,
    seen: Iterable[Seen],
    files: FileStates,
    names: Names,
    *,
    modules: Iterable[Path] = (),
    code: Iterable[str] = (),
    directory: Path,
    started_ns: int,
    trusted: bool = False,
) -> Reads | str:
    """Return what a result depends on, or a sentence why it is not to be kept.

    Args:
        report: of the kernel.
        seen: what it and its children saw.
        files: states of files.
        names: lists folders.
        modules: files of local modules that are loaded.
        code: sources of the cells that ran.
        directory: where they ran.
        started_ns: ``time.time_ns()`` before the first cell.
        trusted: the notebook declares its inputs, so programs that are not watched are no obstacle.
    """
    first: dict[str, dict[str, int]] = {}
    for kind, text, when in seen:
        times = first.setdefault(kind, {})
        times[text] = min(when, times.get(text, when))
    if report.failed:
        return report.failed
    if (programs := first.get("program")) and not trusted:
        program = min(programs, key=lambda each: programs[each])
        return f"it started {program}, and what that reads is not known: declare its `inputs`"
    own = {**first.get("gone", {}), **first.get("made", {})}
    for path, when in first.get("gone", {}).items():
        own[path] = min(when, own[path])
    gathered = _Gathering(files, own, started_ns)
    gathered.all(first, {os.fspath(path) for path in modules}, named(code, directory))
    if gathered.reason:
        return gathered.reason
    listings = {Path(path): names.listing(path, _inside(path, own)) for path in first.get("listed", {})}
    return Reads(gathered.files, listings, _modules(report, first, names, own))


def of_text(
    files: FileStates, code: Iterable[str], directory: Path, started_ns: int
) -> dict[Path, FileState]:
    """Return the states of the files that the text of cells names, where nothing else can be known."""
    gathered = _Gathering(files, {}, started_ns)
    for path in named(code, directory, bare=True):
        gathered.named(path)
    return gathered.files


def sizeable(seen: Iterable[Seen]) -> list[Path]:
    """Return those of the files read whose content takes a while to look at."""
    paths = [Path(text) for kind, text, _ in seen if kind == "read"]
    return [path for path in paths if _MEGABYTE < _size(path) <= _LARGE]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


class _Gathering:
    """Puts states together; ``reason`` says why a result cannot be kept."""

    def __init__(self, files: FileStates, own: dict[str, int], started_ns: int) -> None:
        self.files: dict[Path, FileState] = {}
        self.reason = ""
        self._states = files
        self._own = own
        self._started = started_ns

    def all(self, first: dict[str, dict[str, int]], modules: set[str], text: list[Path]) -> None:
        """Take in what was seen, the modules that are loaded, and what the text names."""
        seen = first.get("read", {})
        for path, when in seen.items():
            self.read(path, when)
        for path in modules:
            self.read(path, seen.get(path, self._started))
        for path, when in first.get("absent", {}).items():
            self.absent(path, when)
        for path in first.get("tree", {}):
            self.tree(path)
        for each in text:
            self.named(each)

    def read(self, path: str, when: int) -> None:
        """Depend on a file that was there when it was first read."""
        if (made := self._own.get(path)) is not None:
            if made > when:
                self._refuse(f"it changed {path}, which it had read")
            return
        try:
            status = Path(path).stat()
        except (OSError, ValueError):
            self._refuse(f"it read {path}, which is gone")
            return
        if not stat.S_ISREG(status.st_mode):
            return  # folders are listed; devices, pipes and sockets hold nothing that could be compared
        if changed_ns(status) > when - _TICK:
            self._refuse(f"{path} changed while it ran")
        self._keep(Path(path), status)

    def absent(self, path: str, when: int) -> None:
        """Depend on a file not being there."""
        if not self._own.get(path, when + 1) <= when:
            self.files.setdefault(Path(path), FileState("", 0, 0))

    def tree(self, path: str) -> None:
        """Depend on everything below a folder, and on the file if it is one."""
        found = Path(path)
        if found.is_file():
            self.read(path, self._started)
        else:
            self.files[found] = self._states.state(found)

    def named(self, path: Path) -> None:
        """Depend on a file that the text names, unless the run made it."""
        if path in self.files or os.fspath(path) in self._own:
            return
        try:
            status = path.stat()
        except OSError:
            self.files[path] = FileState("", 0, 0)
            return
        if stat.S_ISREG(status.st_mode) and status.st_mtime_ns < self._started:
            self._keep(path, status)

    def _keep(self, path: Path, status: os.stat_result) -> None:
        if status.st_size > _LARGE and changed_ns(status) < self._started:
            self.files[path] = FileState(LARGE, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        else:
            self.files[path] = self._states.state(path)

    def _refuse(self, reason: str) -> None:
        self.reason = self.reason or reason


def changed_ns(status: os.stat_result) -> int:
    """Return when a file was last changed or put where it is: what is moved brings an old time along."""
    return max(status.st_mtime_ns, status.st_ctime_ns)


def named(code: Iterable[str], directory: Path, *, bare: bool = False) -> list[Path]:
    """Return what the text of cells names that looks like a file, there or not.

    Args:
        code: sources, of any language.
        directory: where they ran.
        bare: names without quotes count too.
    """
    found: dict[Path, None] = {}
    for text in _mentioned(code, _BARE if bare else _WORDS):
        path = Path(os.path.normpath(directory / text))
        if len(found) >= _MOST_NAMES:
            break
        if _FILE.fullmatch(text) or (path.parent == directory and _is_file(path)):
            found[path] = None
        if path.name and not path.suffix and _is_file(path.with_suffix(".py")):
            found[path.with_suffix(".py")] = None
    return list(found)


def _mentioned(code: Iterable[str], lines: re.Pattern[str]) -> Iterator[str]:
    for source in code:
        for _, text in _QUOTED.findall(source):
            if text.isprintable() and len(text) < 256 and "://" not in text:
                yield text
        for line in lines.findall(source):
            words = re.split(r"[\s;|&<>()\"'`]+", line)
            yield from (word for word in words if word.isprintable() and 0 < len(word) < 256)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _inside(folder: str, own: Iterable[str]) -> list[str]:
    """Return the names in a folder by which what the run made is reached."""
    head = os.path.join(folder, "")  # noqa: PTH118 - a slash at its end
    return [path[len(head) :].partition(os.sep)[0] for path in own if path.startswith(head)]


def _modules(
    report: KernelReads, first: dict[str, dict[str, int]], names: Names, own: dict[str, int]
) -> dict[Path, Modules]:
    tops = {*report.names, *first.get("name", {})}
    wanted: dict[str, set[str]] = {path: {*each} for path, each in report.packages.items()}
    for path in (*report.local, *first.get("path", {})):
        wanted.setdefault(path, set()).update(tops)
    missing = {*report.missing, *({*first.get("name", {})} - {*report.names})}
    for path in report.installed if missing else ():
        wanted.setdefault(path, set()).update(missing)
    found = {}
    for path, each in wanted.items():
        made = {name.partition(".")[0] for name in _inside(path, own)}
        found[Path(path)] = names.modules(path, each - made)
    return found
