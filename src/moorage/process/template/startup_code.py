"""What an interpreter runs as it starts, ``.pth`` files and customize modules, and whether a fork has run it.

A template runs that once, and its forks never: they are like a process started for itself only where that
left nothing behind that a fork has not, did nothing but to its own memory, and looked at nothing that another
launch may have otherwise. What it left behind a look at the template tells. What it did and looked at tells a
second interpreter, started as the template was but for the site module (``-S``), which runs the same start-up
code under watch; that takes place beside the template's imports.

Loaded by the template by its path, without the package, and run as a script by the second interpreter:
standard library only, from Python 3.9 on.
"""
# ruff: noqa: PTH100, PTH115, PTH116, PTH118, PTH119, PTH120, PTH208 - pathlib would be one more thing a fork shares with its template

from __future__ import annotations

import json
import os
import select
import signal
import sys

assert sys.platform == "linux", "templates need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

PATIENCE = 20.0
"""Seconds that start-up code may take under watch; a template that runs has had it behind it for long."""

_DOES = {
    "starts a process": (
        *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
        *("pty.spawn",),
    ),
    "speaks to others": ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"),
    "changes files": (
        *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
        *("os.chmod", "os.chown", "os.utime", "sqlite3.connect"),
    ),
    "traces what runs": ("sys.settrace", "sys.setprofile", "sys.monitoring.register_callback"),
}
KEYED = ("HOME", "PYTHON")
"""Beginnings of variables that count for every template: the site module reads some of them itself."""
DOES = {event: what for what, events in _DOES.items() for event in events}
"""Audit events of what a fork would not do again, and how to call it."""


def initial() -> dict[bytes, bytes]:
    """Return the environment that this process was started with, before its start-up code changed it."""
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - see above
        entries = [word.partition(b"=") for word in file.read().split(b"\0") if b"=" in word]
    return {name: value for name, _, value in reversed(entries)}  # the first of a name counts


def opened() -> dict[int, str]:
    """Return this process's descriptors, each with what it leads to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # by which this list was read
    return found


def of_libraries() -> set[int]:
    """Return the descriptors that stay open as long as their library is loaded: libffi's of its own file.

    With static trampolines (https://github.com/libffi/libffi/blob/master/src/tramp.c), which newer Debians
    have, it opens that file when ctypes is imported, and maps from the number when a callback is made.
    """
    return {number for number, where in opened().items() if os.path.basename(where).startswith("libffi")}


def left(own: int, code: str = "start-up code") -> str:
    """Return what start-up code has left in this process that no fork would have, or an empty string.

    Args:
        own: the one descriptor beyond 0, 1 and 2 that is known.
        code: what to call that code.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        return f"{code} has started a thread"
    known = {0, 1, 2, own, *of_libraries()}
    for number, where in opened().items():
        if number not in known and where != f"/proc/{os.getpid()}/fd":
            return f"{code} has opened {where}"
    if sys.gettrace() or sys.getprofile() or tools():
        return f"{code} traces what runs"
    timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    if any(any(signal.getitimer(each)) for each in timers):
        return f"{code} has set a timer"
    return ""


def tools() -> list[str]:
    """Return what monitors this interpreter; ``sys.monitoring`` is there from Python 3.12 on."""
    monitoring = getattr(sys, "monitoring", None)
    names = () if monitoring is None else map(monitoring.get_tool, range(6))
    return [name for name in names if name]


class Watched:
    """A second interpreter that runs the same start-up code under watch.

    Args:
        command: this process's command line, up to its script.
        env: what both were started with.
    """

    def __init__(self, command: list[bytes], env: dict[bytes, bytes]) -> None:
        self._hear, tell = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        script = os.fsencode(os.path.abspath(__file__))
        actions = [(os.POSIX_SPAWN_DUP2, nothing, each) for each in range(3)]
        self._pid = os.posix_spawn(
            sys.executable,
            [command[0], *command[1:], b"-S", script],
            env,
            file_actions=[*actions, (os.POSIX_SPAWN_DUP2, tell, 3)],
        )
        os.close(nothing)
        os.close(tell)

    def told(self) -> dict[str, Any]:
        """Wait until it has ended, and return what it tells, see :class:`Watch`; else ``does`` alone."""
        said = b""
        poll = select.poll()
        poll.register(self._hear, select.POLLIN)
        while (ready := poll.poll(PATIENCE * 1000)) and (piece := os.read(self._hear, 65536)):
            said += piece
        os.close(self._hear)
        if not ready:
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        try:
            found: dict[str, Any] = json.loads(said)
        except ValueError:
            found = {"does": ["start-up code cannot be watched: it ends or holds up the interpreter"]}
        return found


class Watch:
    """What start-up code does and looks at, while it is switched on.

    Attributes:
        does: what a fork would not do again, in a few words each, with the file that does it.
        reads: names of the environment variables that it or the site module looks at; ``*`` for all.
        files: those it reads, and those of the modules it imports.
    """

    def __init__(self) -> None:
        self.does: list[str] = []
        self.reads: set[str] = set()
        self.files: set[str] = set()
        self._on = False

    def run(self) -> None:
        """Run what ``import site`` runs in an interpreter without ``-S``."""
        import site  # noqa: PLC0415 - only here, where it has done nothing yet

        held = set(sys.modules)
        self._look_at_environment()
        self._look_at_threads()
        sys.addaudithook(self._hear)
        self._on = True
        try:
            site.main()
        finally:
            self._on = False
        own = os.path.dirname(os.__file__)
        for name in set(sys.modules) - held:
            file = getattr(sys.modules[name], "__file__", None)
            if file and (not file.startswith(own) or "-packages" in file):
                self.files.add(file)

    def _look_at_environment(self) -> None:
        kind: Any = type(os.environ)
        get, walk = kind.__getitem__, kind.__iter__

        def read(environment: Any, name: Any) -> Any:
            if self._on:
                self.reads.add(os.fsdecode(name) if isinstance(name, (str, bytes)) else "*")
            return get(environment, name)

        def read_all(environment: Any) -> Any:
            if self._on:
                self.reads.add("*")
            return walk(environment)

        kind.__getitem__, kind.__iter__ = read, read_all
        os.getcwd = self._noting("looks at the working directory", os.getcwd)

    def _look_at_threads(self) -> None:
        import _thread  # noqa: PLC0415 - only here

        starts: Any = _thread  # not every Python tells it in an audit event
        for name in ("start_new_thread", "start_joinable_thread"):
            if start := getattr(starts, name, None):
                setattr(starts, name, self._noting("starts a thread", start))

    def _noting(self, what: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            if self._on:
                self._note(what)
            return do(*arguments, **options)

        return noted

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if event == "open":
            self._opened(*arguments)
        elif (what := DOES.get(event)) and not any(cached(each) for each in arguments):
            self._note(what)

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, (str, bytes)) or cached(path):
            return
        writes = set(mode) & set("wax+") if mode else (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not writes:
            self.files.add(os.path.join(os.sep, os.fsdecode(path)))
        elif os.fsdecode(path) != os.devnull:
            self._note(f"writes to {os.fsdecode(path)}")

    def _note(self, what: str) -> None:
        self.does.append(f"{culprit(sys._getframe(2))} {what}")  # noqa: SLF001 - the caller


def cached(path: Any) -> bool:
    """Whether this is where Python keeps what it has compiled, or no path."""
    return isinstance(path, (str, bytes)) and "__pycache__" in os.fsdecode(path)


def culprit(frame: FrameType | None) -> str:
    """Return which file's start-up code runs."""
    inner = ""
    while frame is not None:
        if frame.f_code.co_name == "addpackage" and "name" in frame.f_locals:
            return os.path.join(str(frame.f_locals.get("sitedir", "")), str(frame.f_locals["name"]))
        if frame.f_code.co_name in ("execsitecustomize", "execusercustomize"):
            return inner or "start-up code"
        if not frame.f_code.co_filename.startswith("<"):
            inner = frame.f_code.co_filename
        frame = frame.f_back
    return "start-up code"


def stamped(more: list[str]) -> list[str]:
    """Return the files and folders that decide what an interpreter is when it starts, be they there or not.

    Args:
        more: those that start-up code read.
    """
    site = sys.modules.get("site")
    user = getattr(site, "USER_SITE", None) if getattr(site, "ENABLE_USER_SITE", None) else None
    packages = [path for path in [*sys.path, user or ""] if os.path.basename(path).endswith("-packages")]
    found = [sys.executable, os.path.dirname(os.__file__), os.path.join(sys.prefix, "pyvenv.cfg"), *packages]
    for path in packages:
        try:
            names = sorted(os.listdir(path))
        except OSError:
            continue  # when it comes into being, it has another stamp
        found += [os.path.join(path, name) for name in names if name.endswith(".pth")]
    if site is not None:
        customize = [f"{which}customize{end}" for which in ("site", "user") for end in (".py", "")]
        found += [os.path.join(path, name) for path in [*sys.path, *packages] for name in customize]
    return list(dict.fromkeys([*found, *more]))


def stamps(paths: list[str]) -> list[tuple[int, ...]]:
    """Return what changes when one of them does."""
    found: list[tuple[int, ...]] = []
    for path in paths:
        try:
            told = os.stat(path)
            found.append((told.st_mtime_ns, told.st_size, told.st_ino))
        except (OSError, ValueError):
            found.append(())
    return found


def main() -> None:
    """Run the start-up code, and tell on descriptor 3 what it did."""
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]
    watch = Watch()
    watch.run()
    reads = sorted(name for name in watch.reads if not name.startswith(KEYED))
    told = {"does": watch.does, "reads": reads, "files": sorted(watch.files)}
    os.write(3, json.dumps(told).encode())
    os._exit(0)  # what start-up code has registered for the end is not to be done


if __name__ == "__main__":
    main()
