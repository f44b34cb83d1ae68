"""Environments over other ones: packages that are added to those of an interpreter, which stays as it is.

An overlay is a virtual environment that sees all packages of the environment below it. It is made ahead of
the first visitor, once for what it is made of, and believed only when it is whole: a file is written last.
"""
# ruff: noqa: E402 - file locks, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

assert sys.platform != "win32", "file locks of another kind are there"

from moorage.errors import OutputError, UsageError
from moorage.regular import read_text
from moorage.tasks import in_thread
from moorage.temp.identity import NO_LINKS
from moorage.temp.interpreters import Interpreter, look_at

log = logging.getLogger("moorage.temp")

WHOLE = "moorage-overlay.json"
"""The file that is written last."""
_SCHEME = 1
_NESTED = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", re.MULTILINE)
_BELOW = (
    "import importlib.metadata as m, json, site, sys\n"
    "names = {each.metadata['Name']: each.version for each in m.distributions() if each.metadata['Name']}\n"
    "print(json.dumps([sys.prefix, site.getsitepackages(), names]))"
)
_KEPT_LINES = 4


@dataclass(frozen=True)
class Requirements:
    """What is added.

    Args:
        words: requirements as pip takes them: ``numpy>=2``, a URL, a path.
        file: with more of them; None for none.
        base: folder that relative paths belong to.
    """

    words: tuple[str, ...]
    file: Path | None
    base: Path

    @property
    def from_anywhere(self) -> list[str]:
        """The words, with relative paths made absolute: installers differ about what those belong to."""
        return [f"{self.base}/{word}" if word.startswith(("./", "../")) else word for word in self.words]

    def __bool__(self) -> bool:
        return bool(self.words or self.file)

    def __str__(self) -> str:
        return ", ".join((*self.words, *([self.file.name] if self.file else [])))


@dataclass(frozen=True)
class _Below:
    """The environment below: its folder, its packages' folders, and what is installed there."""

    prefix: Path
    sites: tuple[str, ...]
    installed: dict[str, str]


async def overlaid(below: Interpreter, wanted: Requirements, folder: Path) -> Interpreter:
    """Return the interpreter of an environment that has what ``below`` has, and what is wanted beside it.

    It is made where there is none for the same packages, and takes as long as their installer does.

    Args:
        below: the interpreter below; its environment is not changed.
        wanted: what is added.
        folder: private folder (0700) for all overlays.

    Raises:
        UsageError: the packages cannot be installed, with what their installer said.
        OutputError: the folder cannot be written.

    Cancelling ends the installer; what it leaves is not believed, and is removed by the next call.
    """
    try:
        environment = await in_thread(lambda: _look_below(below, wanted), name="look at packages")
        key = _key(below, environment, wanted)
        await in_thread(lambda: folder.mkdir(mode=0o700, exist_ok=True))
        place = folder / key
        async with _locked(folder / f"{key}.lock", wanted) as descriptor:
            if not (place / WHOLE).is_file():
                log.info("Making an environment with %s: this may take a while", wanted)
                await in_thread(lambda: _begin(place, below, environment), name="make an environment")
                await _install(place, environment, wanted, descriptor)
                _finish(place, wanted)
                log.info("The environment with %s is made", wanted)
            else:
                log.info("The environment with %s is there already", wanted)
    except OSError as error:
        what = f"no environment can be made in {folder}"
        raise OutputError(what, why=error.strerror or str(error), do="Make room there") from error
    found = await in_thread(lambda: look_at(place), name="look at an environment")
    return replace(found, below=environment.prefix)


def _look_below(below: Interpreter, wanted: Requirements) -> _Below:
    """Ask an interpreter where its packages are and which there are.

    Raises:
        UsageError: it does not say, or a requirement is none.
    """
    for word in wanted.words:
        if not word.strip() or word.startswith("-") or not word.isprintable():
            raise UsageError(f"{word!r} is no requirement", why="It is written as for pip: numpy>=2")
    if wanted.file is not None and not wanted.file.is_file():
        raise UsageError(f"the requirements {wanted.file} cannot be read", why="There is no such file")
    done = subprocess.run(
        [below.program, "-I", "-c", _BELOW], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    try:
        prefix, sites, installed = json.loads(done.stdout)
    except ValueError:
        why = _last_lines(done.stderr.decode(errors="replace").splitlines())
        raise UsageError(f"the interpreter {below.program} does not say what it has", why=why) from None
    return _Below(Path(prefix), tuple(sites), installed)


def _key(below: Interpreter, environment: _Below, wanted: Requirements) -> str:
    """Return the name of an overlay: another one for other requirements, or other packages below."""
    parts = {
        "scheme": _SCHEME,
        "program": str(below.program),
        "version": below.version,
        "sites": environment.sites,
        "installed": environment.installed,
        "words": wanted.words,
        "base": str(wanted.base),
        "files": [] if wanted.file is None else list(_texts(wanted.file, set())),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def _texts(path: Path, seen: set[Path]) -> Iterator[str]:
    """Yield what is in a file of requirements, and in those that it names."""
    if path in seen or not path.is_file():
        return
    seen.add(path)
    text = read_text(path)
    yield text
    for name in _NESTED.findall(text):
        yield from _texts(path.parent / name, seen)


@asynccontextmanager
async def _locked(path: Path, wanted: Requirements) -> AsyncIterator[int]:
    """Have one process at a time make an overlay; its installer has the lock, too, and may outlive it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINKS, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log.info("Another process makes the environment with %s: waiting for it", wanted)
            await in_thread(lambda: fcntl.flock(descriptor, fcntl.LOCK_EX), name="wait for a lock")
        yield descriptor
    finally:
        os.close(descriptor)


def _begin(place: Path, below: Interpreter, environment: _Below) -> None:
    """Make an environment without packages of its own, that sees those below it."""
    shutil.rmtree(place, ignore_errors=True)
    done = subprocess.run(
        [below.program, "-I", "-m", "venv", "--without-pip", place],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
        raise UsageError(
            f"{below.program} cannot make an environment",
            why=_last_lines(said) or f"venv ended with exit code {done.returncode}",
            do="Install the venv of this Python: python3-venv on Debian",
        )
    # Read as one of the environment's own, after them, so that what is added comes first.
    lines = "".join(f"import site; site.addsitedir({each!r})\n" for each in environment.sites)
    (_site(place) / "moorage-below.pth").write_text(lines)


def _site(place: Path) -> Path:
    return next((place / "lib").glob("python*/site-packages"))


async def _install(place: Path, environment: _Below, wanted: Requirements, lock: int) -> None:
    """Install what is wanted, and what it needs that is not below in a version that will do."""
    python = str(place / "bin/python")
    uv = shutil.which("uv", path=os.pathsep.join([f"{environment.prefix}/bin", os.environ.get("PATH", "")]))
    given = [*wanted.from_anywhere, *(["-r", str(wanted.file)] if wanted.file is not None else [])]
    if uv is not None:
        await _install_by_uv(uv, python, place, environment, wanted, lock)
    elif "pip" in environment.installed:
        pip = [python, "-P", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        await _run([*pip, "--progress-bar", "off", "--no-warn-script-location", *given], wanted, lock)
    else:
        raise UsageError(
            f"nothing can install {wanted}", why="There is neither uv nor pip", do="Install one of them"
        )


async def _install_by_uv(
    uv: str, python: str, place: Path, environment: _Below, wanted: Requirements, lock: int
) -> None:
    """Install by uv, which does not look below: it gets told what to leave out.

    Versions are kept as they are below wherever the requirements allow that.
    """
    sources = place / "wanted.in", place / "below.txt", place / "all.txt", place / "own.txt"
    wanted_in, below_txt, all_txt, own_txt = sources
    more = [str(wanted.file)] if wanted.file is not None else []

    def write() -> None:
        wanted_in.write_text("".join(f"{word}\n" for word in wanted.from_anywhere))
        below_txt.write_text(
            "".join(f"{name}=={version}\n" for name, version in environment.installed.items())
        )

    await in_thread(write)
    resolve = [uv, "pip", "compile", str(wanted_in), *more, "--python", python, "-o", str(all_txt)]
    resolve += ["--no-header", "--no-annotate", "--quiet"]
    try:
        await _run([*resolve, "--constraint", str(below_txt)], wanted, lock, loud=False)
    except UsageError:
        await _run(resolve, wanted, lock)  # something below is too old or too new for it

    def choose() -> bool:
        there = {f"{_plain(name)}=={version}" for name, version in environment.installed.items()}
        lines = [line.strip() for line in all_txt.read_text().splitlines() if line.strip()]
        own = [line for line in lines if _plain(line.partition(" ")[0]) not in there]
        own_txt.write_text("".join(f"{line}\n" for line in own))
        return bool(own)

    if await in_thread(choose):
        await _run([uv, "pip", "install", "--python", python, "--no-deps", "-r", str(own_txt)], wanted, lock)


def _plain(name: str) -> str:
    """Return a name, or ``name==version``, in the one spelling that all its spellings have (PEP 503)."""
    head, equals, version = name.partition("==")
    return re.sub(r"[-_.]+", "-", head).lower() + equals + version


async def _run(argv: list[str], wanted: Requirements, lock: int, *, loud: bool = True) -> None:
    """Run an installer, and pass on what it says.

    Raises:
        UsageError: it failed.

    Cancelling ends it with all it started.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_TARGET"))}
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=env | {"NO_COLOR": "1"},
        cwd=wanted.base,
        start_new_session=True,
        pass_fds=(lock,),
    )
    said: list[str] = []
    try:
        assert process.stdout is not None, "it is a pipe"
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            if text.strip():
                said.append(text)
                if loud:
                    log.info("  %s", text)
        code = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code:
        raise UsageError(
            f"{wanted} cannot be installed",
            why=_reason(said) or f"{Path(argv[0]).name} ended with exit code {code}",
            do="Look whether the names are right, and whether the index can be reached",
        )


def _reason(said: list[str]) -> str:
    """Return the lines in which an installer says why it failed."""
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    return _last_lines(errors or said)


def _last_lines(lines: list[str]) -> str:
    return " ".join(line.strip(" \u2570\u2500\u25b6\u00d7|\u2502") for line in lines[-_KEPT_LINES:])


def _finish(place: Path, wanted: Requirements) -> None:
    """Write what says that an overlay is whole."""
    unfinished = place / f"{WHOLE}.unfinished"
    with unfinished.open("w") as file:
        json.dump({"scheme": _SCHEME, "with": str(wanted)}, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(place / WHOLE)
