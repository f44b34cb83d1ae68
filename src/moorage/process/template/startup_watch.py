"""Runs what an interpreter runs as it starts, under watch, and tells what it did and looked at.

A script, run by an interpreter that was started with ``-S`` (``startup_code.py`` says why). It imports next
to nothing: a module that is there before start-up code takes time at every start of a template, and hides
that start-up code imports it. Standard library only, from Python 3.9 on.
"""
# ruff: noqa: PTH118, PTH120 - pathlib would be one more thing that is there before

from __future__ import annotations

import marshal
import os
import sys

assert sys.platform == "linux", "templates need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

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


def main() -> None:
    """Run the start-up code, and tell on descriptor 3 what it did."""
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]
    watch = Watch()
    watch.run()
    reads = sorted(name for name in watch.reads if not name.startswith(KEYED))
    told = {"does": watch.does, "reads": reads, "files": sorted(watch.files)}
    os.write(3, marshal.dumps(told))
    os._exit(0)  # what start-up code has registered for the end is not to be done


if __name__ == "__main__":
    main()
