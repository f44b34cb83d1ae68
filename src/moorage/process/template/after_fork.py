"""What a fork puts right, so that it is like a process started for itself; and how it ends.

Loaded by the template by its path, without the package: standard library only, from Python 3.9 on. The list
of what is put right, and of what cannot be, stands in docs/design/0006-template.md.
"""
# ruff: noqa: PTH109 - pathlib would be one more thing a fork shares with its template

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib.machinery
import io
import opcode
import os
import sys
import threading
import time
import types

assert sys.platform == "linux", "templates need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Environment = dict[bytes, bytes]

MARKER = b"MOORAGE_LAUNCH"
PR_SET_MM, PR_SET_MM_MAP = 35, 14

_kept: list[object] = []


class _Map(ctypes.Structure):
    """``struct prctl_mm_map``, see prctl(2)."""

    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("start_code", "end_code", "start_data", "end_data")),
        *((name, ctypes.c_uint64) for name in ("start_brk", "brk", "start_stack")),
        *((name, ctypes.c_uint64) for name in ("arg_start", "arg_end", "env_start", "env_end", "auxv")),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_uint32),
    ]


class Image:
    """Where in memory this process's arguments and environment stand, as /proc shows it."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.prctl = libc.prctl
        libc.getenv.restype = libc.sbrk.restype = ctypes.c_void_p
        self._sbrk = libc.sbrk
        self._marker = libc.getenv(MARKER) or 0
        self._room = len(os.environb.get(MARKER, b""))
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - see above
            words = file.read().rpartition(b") ")[2].split()
        fields = [0, 0, 0, 0, *map(int, words[1:])]  # numbered as in proc(5)
        code, stack, data, brk = fields[26:28], fields[28], fields[45:47], fields[47]
        self._start, self._end, *env = fields[48:52]
        self._map = _Map(*code, *data, brk, 0, stack, self._start, self._end, *env, 0, 0, 0xFFFF_FFFF)
        self._kept: list[object] = []

    def overwrite(self, argv: list[bytes], env: Environment) -> None:
        """Show other arguments and another environment than those this process was started with."""
        marker = env.get(MARKER, b"")
        if self._marker and len(marker) <= self._room:
            ctypes.memmove(self._marker, marker.ljust(self._room, b"/"), self._room)
        words = b"".join(word + b"\0" for word in argv)
        room = self._end - self._start
        fits = bool(self._start) and len(words) <= room
        if fits:
            ctypes.memmove(self._start, words.ljust(room, b"\0"), room)
        else:
            self._map.arg_start = self._keep(words)
        self._map.arg_end = self._map.arg_start + len(words)
        block = b"".join(b"%b=%b\0" % entry for entry in env.items())
        self._map.env_start = self._keep(block)
        self._map.env_end = self._map.env_start + len(block)
        self._map.brk = self._sbrk(ctypes.c_void_p(0))
        size = ctypes.sizeof(self._map)
        moved = self.prctl(PR_SET_MM, PR_SET_MM_MAP, ctypes.byref(self._map), size, 0) == 0
        if not moved and not fits and room > 0:  # a system without: as much as there is room for
            ctypes.memmove(self._start, words[: room - 1].ljust(room, b"\0"), room)

    def _keep(self, text: bytes) -> int:
        """Put ``text`` where it stays as long as this process."""
        memory = ctypes.create_string_buffer(text, max(1, len(text)))
        self._kept.append(memory)
        return ctypes.addressof(memory)


class Before:
    """The environment before anything ran, so that what start-up code and imports change can be told.

    Either may set a variable, as debugpy does, or remove one; in kernels it is so, too.

    Attributes:
        initial: what this process was started with.
    """

    def __init__(self, initial: Environment) -> None:
        self.initial = initial
        self._made: Environment = {}
        self._gone: set[bytes] = set()

    def imported(self) -> None:
        """Take note of what was changed since."""
        self._made = {name: new for name, new in os.environb.items() if self.initial.get(name) != new}
        self._gone = self.initial.keys() - os.environb.keys()

    def changed(self, env: Environment) -> Environment:
        """Return ``env`` as start-up code and imports would have left it."""
        result = {name: value for name, value in env.items() if name not in self._gone}
        result.update(
            (name, new) for name, new in self._made.items() if self.initial.get(name) == env.get(name)
        )
        return result


def isolated() -> bool:
    """Whether this interpreter puts no directory of a script's or of ``-m`` before its search path."""
    return bool(sys.flags.isolated or getattr(sys.flags, "safe_path", False))


def surround(argv: list[bytes], env: Environment, before: Before) -> None:
    """Take the environment, the arguments and the search path of a process started for itself."""
    zone = os.environb.get(b"TZ")
    replace(before.changed(env))
    if env.get(b"TZ") != zone:
        time.tzset()
    words = [os.fsdecode(word) for word in argv]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = words
    sys.argv[:] = ["-m", *words[words.index("-m") + 2 :]]  # as long as runpy looks for the module
    if not isolated():
        sys.path.insert(0, os.getcwd())


def replace(env: Environment) -> None:
    """Make ``env`` the environment.

    Only what is different goes to the C library, which looks for room all over its heap: each page it
    writes to is copied, 125 of them when everything is set anew.
    """
    held = os.environb._data  # type: ignore[attr-defined]  # noqa: SLF001 - what Python knows of it, for str and bytes alike
    for name in held.keys() - env.keys():
        os.unsetenv(name)
    for name, value in env.items():
        if held.get(name) != value:
            os.putenv(name, value)
    held.clear()
    held.update(env)


def forget() -> None:
    """Drop what the template and all its kernels would have in common."""
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else sets it after a fork
    if (tempfile := sys.modules.get("tempfile")) is not None:
        vars(tempfile).update(tempdir=None, _name_sequence=None)
    if (process := sys.modules.get("multiprocessing.process")) is not None:
        process.current_process().authkey = os.urandom(32)
        vars(process)["ORIGINAL_DIR"] = os.getcwd()  # '' in sys.path, to spawned children
    if (logging := sys.modules.get("logging")) is not None:
        nanoseconds = isinstance(vars(logging)["_startTime"], int)  # from Python 3.13 on
        vars(logging)["_startTime"] = time.time_ns() if nanoseconds else time.time()


def end_quickly(ours: set[str], kept: object) -> None:
    """Have this kernel end without taking the whole interpreter apart, where nothing tells the difference.

    An interpreter that ends calls ``threading._shutdown`` before all else. Only where the outermost frame has
    returned by then, so that the exit status is 0, the end is ours: an error or a SystemExit has an end as
    ever.

    Args:
        ours: names of the modules that the template held.
        kept: what shall live as long as the kernel: to free it would copy the pages it is on.
    """
    pid, shutdown, outermost = os.getpid(), vars(threading)["_shutdown"], sys._getframe()  # noqa: SLF001 - documented
    while outermost.f_back is not None:
        outermost = outermost.f_back

    def shut_down() -> None:
        if os.getpid() == pid and returned(outermost):
            end(ours, shutdown)
        shutdown()

    _kept.append(kept)
    vars(threading)["_shutdown"] = shut_down


def returned(frame: types.FrameType) -> bool:
    """Whether a frame's code is over, and not for an error: its last instruction is a return."""
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN_")


def end(ours: set[str], shutdown: Callable[[], None]) -> None:
    """End this process; return when something is there that could tell the difference: an extension module.

    Threads are waited for, exit functions run, what the user and his modules made is destroyed as ever, and
    what was written reaches its file.

    Args:
        ours: names of the modules that the template held.
        shutdown: what waits for threads.
    """
    theirs = [module for name, module in sys.modules.items() if name not in ours and module is not None]
    compiled = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    if any(str(getattr(module, "__file__", "")).endswith(compiled) for module in theirs):
        return
    shutdown()
    with contextlib.suppress(BaseException):  # told already; before Python 3.10 the last one comes here, too
        atexit._run_exitfuncs()  # noqa: SLF001 - what an interpreter ends with
    destroy([sys.modules["__main__"], *reversed(theirs)])
    for one in gc.get_objects():  # the user's: the template's objects are frozen
        if isinstance(one, io.IOBase):
            with contextlib.suppress(Exception):  # as an interpreter does that ends
                one.flush()
    with contextlib.suppress(Exception):  # the reader has gone, and no other is left
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                stream.flush()
    os._exit(0)


def destroy(modules: Iterable[types.ModuleType]) -> None:
    """Let go of what modules hold, so that objects end as they do with an interpreter.

    Their ends may still use what the modules imported and defined: that goes last.
    """
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)
    lasting = (types.ModuleType, types.FunctionType, type)
    for module in modules:
        held = vars(module)
        for name in [name for name, value in held.items() if not isinstance(value, lasting)]:
            if not name.startswith("__"):
                held.pop(name, None)
    gc.collect()  # the template's objects are frozen: this looks at the user's alone
    for module in modules:
        vars(module).clear()
    gc.collect()
