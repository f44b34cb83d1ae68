"""What a notebook ran with: interpreter, versions of the packages it imported, local modules.

A Python kernel is asked once, after the last cell, by evaluating :data:`PROBE` as a user expression of a
silent, empty execution: it leaves no name, no history and no output. Everything in ``sys.modules`` that is
not the standard library counts, what the kernel itself imported too: a cell that imports ``psutil`` is
served from what ipykernel loaded before, and no comparison with an earlier state would show it.

At lookup no kernel is asked: the directory listings of the recorded site-packages tell the versions, and
size and time tell whether the interpreter and the files that were read are the same.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from moorage.json_types import JsonMapping
from moorage.notebooks.cache import reads
from moorage.notebooks.cache.names import FolderListing, Modules
from moorage.notebooks.cache.store import FileState
from moorage.notebooks.relative import text_below

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.notebooks.cache.distributions import Distributions
    from moorage.notebooks.cache.names import Names
    from moorage.notebooks.cache.store import FileStates

_PROBE_CODE = r"""
import json, os, sys, sysconfig
marks = ("site-packages", "dist-packages")
def real(path):
    return os.path.realpath(path)
base = set()
for key in ("stdlib", "platstdlib"):
    base.add(real(sysconfig.get_path(key)) + os.sep)
    base.add(sysconfig.get_path(key) + os.sep)
base = tuple(base)
sites = [p for p in sys.path if os.path.basename(p) in marks and os.path.isdir(p)]
heads = {site + os.sep: site for site in sites}
tops, local = {}, set()
def site_of(path):
    for head in heads:
        if path.startswith(head):
            return head
    parts = path.split(os.sep)
    found = [i for i, part in enumerate(parts) if part in marks]
    if not found:
        return None
    site = os.sep.join(parts[: found[-1] + 1])
    sites.append(site)
    heads[site + os.sep] = site
    return site + os.sep
def has_file(name):
    try:
        return isinstance(object.__getattribute__(sys.modules[name], "__dict__").get("__file__"), str)
    except Exception:  # anything may stand in sys.modules: what has no dictionary counts as a module
        return True
for name, module in list(sys.modules.items()):
    try:
        inside = object.__getattribute__(module, "__dict__")
    except Exception:  # the same: it has no file to depend on
        continue
    path = inside.get("__file__")
    if not isinstance(path, str):
        path = getattr(inside.get("__spec__"), "origin", None)
    if not isinstance(path, str) or path in ("built-in", "frozen", "namespace") or path[:1] == "<":
        continue
    if name in ("__main__", "__mp_main__"):
        continue
    marked = marks[0] in path or marks[1] in path
    if not marked and path.startswith(base):
        continue
    path = os.path.abspath(path)
    head = site_of(path) if marked else None
    if head is not None:
        top, _, more = path[len(head):].partition(os.sep)
        whole = not more or has_file(name.partition(".")[0])
        key = (heads[head], top.partition(".")[0])
        tops[key] = tops.get(key, True) and whole
    elif not real(path).startswith(base):
        local.add(path)
box = []
if hasattr(sys, "audit"):
    sys.audit("moorage.reads", box)  # see watch.py
answer = json.dumps({
    "executable": sys.executable,
    "python": sys.version,
    "sites": sites,
    "modules": sorted([site, top, whole] for (site, top), whole in tops.items()),
    "local": sorted(local),
    "reads": (box or [""])[0],
})
"""

PROBE = f"(lambda space: (__import__('builtins').exec({_PROBE_CODE!r}, space), space['answer'])[1])({{}})"
"""Evaluates to a JSON string in the kernel; the names it needs live in a dictionary of its own."""

_TOO_MANY = 20_000


class Probe(Struct, frozen=True):
    """What a kernel answered to :data:`PROBE`.

    Attributes:
        executable: its interpreter.
        python: ``sys.version``.
        sites: its site-packages directories, in the order of ``sys.path``.
        modules: (site directory, top-level name, whether the name is one package and no namespace).
        local: files of imported modules outside the standard library and the site directories.
        reads: what it read, see :mod:`moorage.notebooks.cache.watch`; empty when it was not watched.
    """

    executable: str
    python: str
    sites: tuple[str, ...]
    modules: tuple[tuple[str, str, bool], ...]
    local: tuple[str, ...]
    reads: str = ""


class RunEnvironment(Struct, frozen=True):
    """What must still be so for a stored result to be today's.

    Attributes:
        executable: the kernel's interpreter or, for other languages, its program.
        built: size and mtime_ns of that file.
        version: what the language says its version is.
        sites: the interpreter's site-packages directories.
        packages: version of each imported distribution, by its normalised name.
        files: state of each file that was read, or was not there, by absolute path or path relative to the
            run's root.
        listings: folders that were listed, by the same kind of path.
        modules: folders in which modules were looked for.
    """

    executable: str
    built: tuple[int, int]
    version: str
    sites: tuple[str, ...]
    packages: dict[str, str]
    files: dict[str, FileState]
    listings: dict[str, FolderListing] = {}
    modules: dict[str, Modules] = {}


class Run(Struct, frozen=True):
    """A run that a result comes from.

    Attributes:
        code: sources of the cells that ran.
        directory: where they ran.
        root: paths below it are kept relative, so that the whole tree may move.
        started_ns: ``time.time_ns()`` before the first cell.
        log: what children of a watched kernel said they read.
        trusted: the notebook declares its inputs: programs that cannot be watched are no obstacle.
    """

    code: tuple[str, ...]
    directory: Path
    root: Path
    started_ns: int = 0
    log: bytes = b""
    trusted: bool = False


# Made once, before any thread: what msgspec makes of a type on first use is not safe against a second thread.
_PROBE = msgspec.json.Decoder(Probe)
_ENVIRONMENT = msgspec.json.Decoder(RunEnvironment)


def environment_bytes(environment: RunEnvironment) -> bytes:
    """Return the bytes that the cache holds of an environment; equal ones have the same and share a blob."""
    return msgspec.json.encode(environment, order="deterministic")


def read_environment(data: bytes) -> RunEnvironment | None:
    """Return the environment that these bytes of the cache hold; None when they are something else."""
    try:
        return _ENVIRONMENT.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def read_probe(answer: JsonMapping | None) -> Probe | None:
    """Return what the kernel said, or None when it said nothing sensible.

    Args:
        answer: the entry of ``user_expressions`` in an execute_reply,
            https://jupyter-client.readthedocs.io/en/stable/messaging.html#execution-results
    """
    if answer is None or answer.get("status") != "ok":
        return None
    try:
        return _PROBE.decode(ast.literal_eval(answer["data"]["text/plain"]))
    except (KeyError, TypeError, ValueError, SyntaxError, msgspec.DecodeError):
        return None


def of_python(
    probe: Probe | None, files: FileStates, names: Names, distributions: Distributions, run: Run
) -> RunEnvironment | str:
    """Return the environment a Python kernel ran in, or a sentence why a result of it is not to be kept.

    Args:
        probe: the kernel's answer.
        files: states of files.
        names: lists folders.
        distributions: what is installed.
        run: what ran there.
    """
    if probe is None:
        return "the kernel did not tell what it had imported"
    said = reads.decoded(probe.reads, run.log)
    if isinstance(said, str):
        return said
    packages: set[str] = set()
    local = {existing(Path(path)) for path in probe.local}
    for site, top, whole in probe.modules:
        owners = distributions.owners(site, top, whole=whole)
        packages |= owners
        if not owners:  # a module that no distribution claims
            local |= set(_unclaimed(Path(site), top))
    if len(local) > _TOO_MANY:
        return f"it imported {len(local)} local files, which is too many to check"
    found = reads.depends(
        *said,
        files,
        names,
        modules=local,
        code=run.code,
        directory=run.directory,
        started_ns=run.started_ns,
        trusted=run.trusted,
    )
    if isinstance(found, str):
        return found
    return RunEnvironment(
        executable=probe.executable,
        built=built(probe.executable),
        version=probe.python,
        sites=probe.sites,
        packages={name: distributions.version(name, probe.sites) for name in sorted(packages)},
        files={name_below(run.root, path): found.files[path] for path in sorted(found.files)},
        listings={name_below(run.root, path): each for path, each in found.listings.items()},
        modules={name_below(run.root, path): each for path, each in found.modules.items()},
    )


def of_program(program: str, version: str, files: FileStates, run: Run) -> RunEnvironment | str:
    """Return the environment of a kernel that is no Python: its program, and files that its code names.

    Its other files and the packages of other languages are not known: ``--force`` after they change.

    Args:
        program: path of the kernel's program, ``argv[0]`` resolved.
        version: ``language_info.version`` from its kernel_info_reply.
        files: states of files.
        run: what ran there.
    """
    if built(program) == (0, 0):
        return f"the kernel's program {program} is not a file"
    states = reads.of_text(files, run.code, run.directory, run.started_ns)
    named = {name_below(run.root, path): state for path, state in sorted(states.items())}
    return RunEnvironment(
        executable=program, built=built(program), version=version, sites=(), packages={}, files=named
    )


def changed_packages(then: RunEnvironment, distributions: Distributions) -> str:
    """Return which interpreter or package is another one now, or an empty string."""
    if built(then.executable) != then.built:
        return f"{then.executable} is another one"
    for name, version in then.packages.items():
        today = distributions.version(name, then.sites)
        if today != version:
            return f"{name} was {version} and is {today or 'gone'}"
    return ""


def changed_files(then: Mapping[str, FileState], files: FileStates, root: Path) -> str:
    """Return which file changed, or an empty string; paths are taken relative to ``root``."""
    base = str(root)
    for path, state in then.items():
        full = os.path.join(base, path)  # noqa: PTH118 - hot: 4x faster
        if not files.same(full, state) and not files.same(existing(Path(full)), state):
            return f"{path} changed"
    return ""


def built(program: str) -> tuple[int, int]:
    """Return size and mtime_ns of a program, links followed; zeros when there is none."""
    try:
        status = os.stat(program)  # noqa: PTH116 - hot
    except (OSError, ValueError):
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


def name_below(root: Path, path: Path) -> str:
    """Return ``path`` relative to ``root`` with forward slashes where it lies below, else absolute."""
    if (below := text_below(root, path)) is not None:
        return below.replace(os.sep, "/")
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def existing(path: Path) -> Path:
    """Return ``path``, or the archive it lies in (``x.zip/pkg/mod.py``)."""
    if path.exists():
        return path
    for parent in path.parents:
        if parent.is_file():
            return parent
    return path


def _unclaimed(site: Path, top: str) -> list[Path]:
    package = site / top
    if package.is_dir():
        return [path for path in package.rglob("*") if path.suffix in {".py", ".so", ".pyd"}]
    return [path for path in site.glob(f"{top}.*") if path.is_file()]
