"""Watches what a Python process reads: files, listings, imports, and the programs it starts.

Loaded by its path inside a kernel before its first cell, where moorage need not be installed: standard
library only, from Python 3.8 on. An audit hook (https://docs.python.org/3/library/audit_events.html) sees
every event, many thousand in a second, so it looks at an event's name and forgets most; what an
installation reads of itself is forgotten next. The rest is kept once, with the time when it first happened,
and worked up by ``reads.py`` after the last cell. Nothing of it is in a user's names, modules or history; it
is asked for by an event of its own (:data:`ASK`).

Children report to a file: forked ones have this hook, and Python programs find a ``sitecustomize`` by
``PYTHONPATH``, which stands in the process's environment but not in ``os.environ``, and takes itself away.
"""
# ruff: noqa: PTH100, PTH109, PTH112, PTH113, PTH118, PTH119, PTH120 - hot, and in a process that is not ours

from __future__ import annotations

import importlib.util
import json
import os
import sys
import sysconfig
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

ASK = "moorage.reads"
"""Event that has a list as its argument, which gets the answer."""
MOST = 20_000
"""More things than these are not kept, and the result is not either."""
SYSTEM = (
    *("/bin/", "/boot/", "/dev/", "/etc/", "/lib/", "/lib64/", "/nix/store/", "/proc/", "/run/", "/sbin/"),
    *("/sys/", "/usr/", "/var/cache/", "/var/lib/", "/Library/", "/System/"),
)
"""Where the machine lies, whose files are no inputs unless the project is there."""

_STANDARD: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset())
_BOOKKEEPING = ("/importlib/", "/importlib_metadata/", "/pkg_resources/")
_WRITE = os.O_WRONLY | os.O_RDWR


class ReadWatch:
    """What was seen, and the handlers of the events by which it is seen.

    Args:
        folder: where ``sitecustomize.py`` and the children's ``log`` are.
        project: folders whose files are inputs wherever they lie, with a slash at their ends.
    """

    def __init__(self, folder: str, project: tuple[str, ...]) -> None:
        self.seen: dict[tuple[str, str], int] = {}
        self._names: set[str] = set()
        self._paths: dict[str, bool] = {}
        self.failed = ""
        self.child = False
        self.kept = not (sys.flags.ignore_environment or sys.flags.no_site)
        self.folder = folder
        self._log = os.path.join(folder, "log")
        self._project = project
        needless = (*skipped(), folder + os.sep)
        self._around = tuple(path for path in needless if any(each.startswith(path) for each in project))
        self._needless = tuple(path for path in needless if path not in self._around)
        self._path: list[str] = []
        self._programs: Any = None

    def note(self, kind: str, text: str) -> None:
        """Keep one thing, and the time when it first happened."""
        key = (kind, text)
        if key in self.seen:
            return
        if len(self.seen) >= MOST:
            self.failed = f"it read more than {MOST} files"
            return
        now = self.seen[key] = time.time_ns()
        if self.child:
            line = json.dumps((kind, text, now)).encode() + b"\n"
            log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(log, line)
            finally:
                os.close(log)

    def wanted(self, path: object) -> str:
        """Return the absolute path if it may be an input, else an empty string."""
        if not isinstance(path, str):
            if isinstance(path, int) or path is None:
                return ""
            path = _text(path)
        if path[:1] != os.sep:
            path = os.path.join(os.getcwd(), path)
        if sys.pycache_prefix and path.startswith(sys.pycache_prefix):
            path = _source(path)
        if path.startswith(self._needless) or (
            path.startswith(self._around) and not path.startswith(self._project)
        ):
            return ""
        return _source(os.path.normpath(path)) if path.endswith(".pyc") else os.path.normpath(path)

    def folder_wanted(self, path: object) -> str:
        """Return the absolute path of a folder if what is in it may be an input, else an empty string."""
        return self.wanted(os.path.join(_text(path), ""))

    def changed(self, kind: str, path: object) -> None:
        """Note that a file is made or gone; what Python compiled says nothing of its source."""
        if (found := self.wanted(path)) and not _text(path).endswith(".pyc"):
            self.note(kind, found)

    def read(self, path: object) -> None:
        """Note that a file is read, or looked for in vain."""
        if found := self.wanted(path):
            self.note("read" if os.path.lexists(found) else "absent", found)

    def _opened(self, path: object, _mode: object, flags: int) -> None:
        """Handle ``open``: what is made new owes nothing to what was there."""
        if not (found := self.wanted(path)):
            return
        there = os.path.lexists(found)
        if not flags & _WRITE:
            self.note("read" if there else "absent", found)
        elif os.path.isdir(found):
            return  # a file without a name is made there
        elif flags & (os.O_TRUNC | os.O_EXCL) or (flags & os.O_CREAT and not there):
            self.changed("made", path)
        elif flags & os.O_RDWR:
            self.note("read" if there else "absent", found)

    def _imported(self, name: str, _file: object, path: Any, *_rest: object) -> None:
        """Handle ``import``: what is looked for, and where."""
        self._names.add(name)
        if path is not None and path != self._path:
            self._path = list(path)
            self._searched()
        if name.endswith("loky.backend.popen_loky_posix"):
            self.show()  # its workers get a copy of os.environ, and no event tells of them
        if self.child and "." not in name and name not in _STANDARD:
            self.note("name", name)

    def _searched(self) -> None:
        """Keep the folders of ``sys.path``; relative ones mean another one after a change of directory."""
        for folder in {*map(os.path.abspath, filter(_is_text, self._path))} - {*self._paths}:
            self._paths[folder] = bool(self.wanted(os.path.join(folder, "x")))
            if self.child and self._paths[folder]:
                self.note("path", folder)

    def _listed(self, path: object = None) -> None:
        """Handle ``os.listdir`` and ``os.scandir``, but for the import system's own looks."""
        caller = sys._getframe(2).f_code.co_filename  # noqa: SLF001 - the hook's caller
        if caller.startswith("<frozen importlib") or any(each in caller for each in _BOOKKEEPING):
            return
        if isinstance(path, int):
            # What shutil.rmtree lists it deletes: a folder of outputs, made anew.
            path = "" if os.path.basename(caller) == "shutil.py" else _opened_as(path)
            if not path:
                return
        if found := self.folder_wanted(path or os.curdir):
            self.note("listed", found)

    def _walked(self, top: object, *_rest: object) -> None:
        """Handle ``os.fwalk``, which lists by descriptors."""
        if found := self.folder_wanted(top):
            self.note("tree", found)

    def _removed(self, path: object, descriptor: int = -1) -> None:
        """Handle ``os.remove``."""
        if descriptor == -1:
            self.changed("gone", path)

    def _renamed(self, source: object, target: object, *_descriptors: int) -> None:
        """Handle ``os.rename``."""
        self._removed(source)
        self.changed("made", target)

    def _linked(self, source: object, target: object, *_descriptors: int) -> None:
        """Handle ``os.link`` and ``os.symlink``: what is read by the link is what it leads to."""
        if found := self.wanted(target):
            self.read(os.path.join(os.path.dirname(found), _text(source)))
            self.note("made", found)

    def _loaded(self, name: object) -> None:
        """Handle ``ctypes.dlopen``."""
        if isinstance(name, str) and os.sep in name:
            self.read(name)

    def _connected(self, database: object) -> None:
        """Handle ``sqlite3.connect``."""
        name = _text(database)
        name = name.partition("?")[0][5:] if name.startswith("file:") else name
        if name in {"", ":memory:"} or not (found := self.wanted(name)):
            return
        self.note("read" if os.path.lexists(found) else "made", found)

    def _variable(self, name: object, value: object = None) -> None:
        """Handle ``os.putenv`` and ``os.unsetenv``: without our variable children are not watched."""
        if name in {b"PYTHONPATH", "PYTHONPATH"}:
            self.kept = value is not None and self.folder in _text(value).split(os.pathsep)

    def show(self) -> None:
        """Put the variable by which children are watched where copies of ``os.environ`` have it."""
        before = os.environ.get("PYTHONPATH", "")
        if self.folder not in before.split(os.pathsep):
            os.environ["PYTHONPATH"] = self.folder + (os.pathsep + before if before else "")

    def _started(self, executable: object, words: object, directory: object, environment: object) -> None:
        """Handle ``subprocess.Popen``."""
        self._judge().started(self, executable, words, directory, environment)

    def _executed(self, program: object, words: object, environment: object) -> None:
        """Handle ``os.exec`` and ``os.posix_spawn``."""
        folder = (environment or {}).get("PYTHONPATH", "")  # type: ignore[attr-defined] # a mapping
        if environment is None or self.folder in str(folder).split(os.pathsep):
            self._judge().started(self, program, words, None, None)
        else:  # these variables are taken over before the event
            self._judge().started(self, program, words, None, False)

    def _ordered(self, command: object) -> None:
        """Handle ``os.system``."""
        self._judge().started(self, "/bin/sh", ["sh", "-c", command], None, None)

    def _judge(self) -> Any:
        if self._programs is None:
            self._programs = neighbour("programs")
        return self._programs

    def _answer(self, box: list[str]) -> None:
        """Handle :data:`ASK`."""
        self._configured()
        self._path = sys.path
        self._searched()
        told = {
            "failed": self.failed,
            "seen": [(kind, text, when) for (kind, text), when in self.seen.items()],
            "names": sorted({name.partition(".")[0] for name in {*self._names, *sys.modules}}),
            "missing": sorted(name for name in self._names if "." not in name and name not in sys.modules),
            "local": [path for path, local in self._paths.items() if local],
            "installed": [path for path, local in self._paths.items() if not local],
            "packages": self._packages(),
        }
        box.append(json.dumps(told))

    def _configured(self) -> None:
        """Note files of configuration that are looked for without being opened."""
        matplotlib: Any = sys.modules.get("matplotlib")
        if hasattr(matplotlib, "get_configdir"):
            named, home = os.environ.get("MATPLOTLIBRC"), matplotlib.get_configdir()
            places = ["matplotlibrc", os.path.join(home, "matplotlibrc")]
            places += [named, os.path.join(named, "matplotlibrc")] if named else []
            for place in map(os.path.abspath, places):
                self.note("read" if os.path.isfile(place) else "absent", place)
            self.note("tree", os.path.join(home, "stylelib"))

    def _packages(self) -> dict[str, list[str]]:
        """Return for each folder of a package that is not installed the names looked for in it."""
        found: dict[str, list[str]] = {}
        for name in {*self._names, *sys.modules}:
            head, _, tail = name.rpartition(".")
            for place in _places(head):
                if isinstance(place, str) and self.wanted(place):
                    found.setdefault(os.path.abspath(place), []).append(tail)
        return found

    def handlers(self) -> dict[str, Callable[..., None]]:
        """Return what is called for which event."""
        return {
            "open": self._opened,
            "import": self._imported,
            "os.listdir": self._listed,
            "os.scandir": self._listed,
            "os.fwalk": self._walked,
            "os.remove": self._removed,
            "os.rename": self._renamed,
            "os.link": self._linked,
            "os.symlink": self._linked,
            "ctypes.dlopen": self._loaded,
            "sqlite3.connect": self._connected,
            "os.putenv": self._variable,
            "os.unsetenv": self._variable,
            "subprocess.Popen": self._started,
            "os.exec": self._executed,
            "os.posix_spawn": self._executed,
            "os.system": self._ordered,
            ASK: self._answer,
        }


def neighbour(name: str) -> Any:
    """Load a file of this folder, in no list of modules."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"moorage_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def skipped() -> list[str]:
    """Return the folders whose files are no inputs, with a slash at their ends: installations, caches."""
    home = os.path.expanduser("~")  # noqa: PTH111 - see above
    paths = [sys.prefix, sys.base_prefix, sys.exec_prefix, *map(sysconfig.get_path, ("stdlib", "platstdlib"))]
    paths += [each for each in sys.path if os.path.basename(each) in {"site-packages", "dist-packages"}]
    paths += [os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")]
    paths += [os.environ.get(name) or "/tmp" for name in ("TMPDIR", "TEMP", "TMP")]  # noqa: S108 - where it is
    # The first to be compared with are those that most paths begin with.
    plain = dict.fromkeys((*map(os.path.abspath, paths), *map(os.path.realpath, paths)))
    return [*(path + os.sep for path in plain if path != os.sep), *SYSTEM, "/tmp/", "/var/tmp/"]  # noqa: S108 - where it is


def _text(path: Any) -> str:
    """Return a path as text; raises TypeError for what is none."""
    return os.fsdecode(path)


def _opened_as(descriptor: int) -> str:
    """Return the folder that a descriptor was opened as, an empty string where the system does not say."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - as everywhere here
    except OSError:
        return ""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _places(package: str) -> list[Any]:
    """Return where a package's modules are looked for."""
    try:
        return [*object.__getattribute__(sys.modules[package], "__dict__")["__path__"]] if package else []
    except Exception:  # noqa: BLE001 - anything may stand in sys.modules, and be gone by now
        return []


def _source(path: str) -> str:
    """Return the source of compiled code, where it is kept in the usual way."""
    try:
        return importlib.util.source_from_cache(path)
    except ValueError:
        return path


def watch(folder: str, project: Iterable[str], *, child: bool = False) -> ReadWatch:
    """Begin to watch this process and those it starts.

    Args:
        folder: see :class:`ReadWatch`.
        project: absolute folders of the project.
        child: whether this is a program that a watched one started.
    """
    watched = ReadWatch(folder, tuple({os.path.join(os.path.abspath(each), "") for each in project}))
    watched.child = child
    find = watched.handlers().get

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        handler = find(event)
        if handler is not None:
            try:
                handler(*arguments)
            except Exception as error:  # noqa: BLE001 - boundary: it would be raised in what the user does
                watched.failed = f"watching it failed: {type(error).__name__}: {error}"

    before = os.environ.get("PYTHONPATH", "")
    os.putenv("PYTHONPATH", folder + (os.pathsep + before if before else ""))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: setattr(watched, "child", True))
    sys.addaudithook(hook)
    return watched


def watch_kernel(folder: str, project: Iterable[str]) -> str:
    """Begin to watch a kernel before its first cell; what IPython has read by then is looked up."""
    watched = watch(folder, project)
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    application: Any = shell
    while application is not None and not hasattr(application, "config_file_paths"):
        application = getattr(application, "parent", None)
    for place in () if application is None else application.config_file_paths:
        for name in ("ipython_config.py", *application.config_files):
            for each in (name, os.path.splitext(name)[0] + ".json"):  # noqa: PTH122 - see above
                found = os.path.abspath(os.path.join(place, each))
                watched.note("read" if os.path.isfile(found) else "absent", found)
    profile = getattr(shell, "profile_dir", None)
    if profile is not None:
        watched.note("tree", os.path.abspath(profile.startup_dir))
    return "watched"
