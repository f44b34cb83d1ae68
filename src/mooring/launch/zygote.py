"""The zygote: a template process with a kernel's imports done, which forks kernels.

Run as ``PYTHON [FLAGS] zygote.py`` by the interpreter of the kernels, which need not have mooring: standard
library only, from Python 3.9 on. Its stdin is a SOCK_SEQPACKET socket; its end is the zygote's end. One
packet with four descriptors is one kernel to be: payload (argv, cwd, env as JSON), stdout, stderr, and the
pipe that learns ``pid N`` once the kernel is itself, or ``STAGE ERRNO``, or nothing at all.

There is always one spare, forked ahead, which waits at the socket, takes the next packet and becomes that
kernel, while the template forks the next. A spare is forked twice, so that the warden, which is the
template's parent and a subreaper, becomes its parent. What a fork shares with its template and user code
could notice is put right in :class:`Spare`; docs/design/0006-zygote.md says what it is, and what all costs.
"""
# ruff: noqa: PTH100, PTH109, PTH116, PTH118, PTH119, PTH120, PTH123 - pathlib would be one more thing a fork shares with its template

from __future__ import annotations

import atexit
import builtins
import ctypes
import errno
import gc
import importlib
import importlib.machinery
import importlib.util
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import time
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

MARKER = b"MOORING_LAUNCH"
PR_SET_PDEATHSIG = 1
TAKEN, STALE = b"t", b"s"
"""What a spare tells its template: it has become a kernel; what is installed has changed."""

PRELOAD = (
    # All that a kernel imports for itself, to its end. None of it starts a thread or opens a socket.
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.debugger_backport",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "IPython.utils.wildcard",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "faulthandler",
    "pdb",
    "psutil",  # when it ends
    "pydoc",
    "sqlite3",
    "tornado.platform.asyncio",
    "tornado.queues",
)


_FOLDER = os.path.dirname(os.path.abspath(__file__))


def preload() -> None:
    """Import what kernels import; what is not there, they will do without too."""
    for name in PRELOAD:
        try:
            importlib.import_module(name)
        except ImportError:
            if name == PRELOAD[0]:
                raise


def warm() -> None:
    """Do once what every kernel does, where it leaves nothing behind but compiled patterns and the like."""
    # Imported here: only the kernels' interpreter has them, and only after preload().
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - see above
    from IPython.core.formatters import DisplayFormatter  # noqa: PLC0415 - see above
    from IPython.core.inputtransformer2 import TransformerManager  # noqa: PLC0415 - see above
    from jupyter_client.session import Session  # noqa: PLC0415 - see above

    for _ in range(2):
        TransformerManager().transform_cell("print(1 + 1)\n")
        DisplayFormatter().format(1)
        session = Session(key=b"key")
        session.serialize(session.msg("status", {"execution_state": "idle"}))
        IPKernelApp().parse_command_line(["-f", "kernel.json"])


def neighbour(name: str) -> Any:
    """Load a file of this folder, in no list of modules: users may have one of that name."""
    spec = importlib.util.spec_from_file_location(f"mooring_{name}", os.path.join(_FOLDER, f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Image:
    """Where in memory this process's arguments and its marker stand, for those who read them in /proc."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.prctl = libc.prctl
        libc.getenv.restype = ctypes.c_void_p
        self._marker = libc.getenv(MARKER) or 0
        self._room = len(os.environb.get(MARKER, b""))
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        self._start, self._end = int(fields[45]), int(fields[46])

    def overwrite(self, argv: list[bytes], marker: bytes) -> None:
        """Show other arguments and another launch than those this process was started with."""
        if self._marker and len(marker) <= self._room:
            ctypes.memmove(self._marker, marker.ljust(self._room, b"/"), self._room)
        room = self._end - self._start
        if self._start and room > 0:
            words = b"\0".join(argv)[: room - 1]
            ctypes.memmove(self._start, words.ljust(room, b"\0"), room)


def stamps() -> list[float]:
    """Return what changes when a package is installed, updated or removed, or the interpreter is."""
    places = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    found = []
    for path in [sys.executable, *places]:
        try:
            found.append(os.stat(path).st_mtime)
        except OSError:
            found.append(0.0)
    return found


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next packet and its descriptors."""
    packet, ancillary, _, _ = channel.recvmsg(64, socket.CMSG_SPACE(4 * 4))
    fds = [
        int.from_bytes(data[at : at + 4], sys.byteorder)
        for level, kind, data in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for at in range(0, len(data) - 3, 4)
    ]
    return packet, fds


def raw(text: str) -> bytes:
    """Return the bytes that mooring meant: paths and variables need not be text."""
    return text.encode("utf-8", "surrogateescape")


class Spare:
    """A fork that waits for its launch, and becomes that kernel."""

    def __init__(self, image: Image, warden: int, middle: int) -> None:
        os.setsid()
        # The process between has ended or is about to; until then its end would be ours.
        while os.getppid() == middle:
            os.sched_yield()
        image.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != warden:
            os._exit(127)
        self._image = image

    def wait(self, channel: socket.socket, tell: int, fresh: list[float]) -> list[int]:
        """Wait for a launch and return its descriptors; end here when there is none to come."""
        poll = select.poll()
        poll.register(channel, select.POLLIN)
        poll.poll()
        if stamps() != fresh:
            os.write(tell, STALE)
            os._exit(0)  # the packet stays for a spare of the next template
        packet, fds = receive(channel)
        if not packet:
            os._exit(0)
        os.write(tell, TAKEN)
        return fds

    def become(self, fds: list[int]) -> str:
        """Turn into the kernel, up to the point where its own code runs; return the module to run."""
        report, stage = fds[3], "zygote"
        try:
            spec = json.loads(os.pread(fds[0], os.fstat(fds[0]).st_size, 0))
            argv = [raw(word) for word in spec["argv"]]
            env = {raw(name): raw(value) for name, value in spec["env"].items()}
            os.dup2(fds[1], 1)
            os.dup2(fds[2], 2)
            report = os.dup2(report, 3)
            os.closerange(4, os.sysconf("SC_OPEN_MAX"))
            self._image.overwrite(argv, env.get(MARKER, b""))
            stage = "chdir"
            os.chdir(raw(spec["cwd"]))
            if spec.get("isolate") == "net":
                neighbour("isolate").enter()
            stage = "zygote"
            surround(argv, env)
            forget()
            os.write(report, b"pid %d" % os.getpid())
            os.close(report)
        except OSError as error:
            self._fail(report, getattr(error, "stage", stage), error.errno or 0)
        except BaseException:  # noqa: BLE001 - boundary: only the report is heard, and mooring spawns instead
            self._fail(report, stage, errno.EINVAL)
        return sys.argv[0]

    def _fail(self, report: int, stage: str, number: int) -> NoReturn:
        os.write(report, b"%s %d" % (stage.encode(), number))
        os._exit(127)


def surround(argv: list[bytes], env: dict[bytes, bytes]) -> None:
    """Take the environment, the arguments and the search path of a process started for itself."""
    zone = os.environb.get(b"TZ")
    os.environb.clear()
    os.environb.update(env)
    if env.get(b"TZ") != zone:
        time.tzset()
    words = [os.fsdecode(word) for word in argv]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = words
    sys.argv[:] = words[words.index("-m") + 1 :]
    if not isolated():
        sys.path.insert(0, os.getcwd())


def isolated() -> bool:
    """Whether this interpreter puts no directory of a script's or of ``-m`` before its search path."""
    return bool(sys.flags.isolated or getattr(sys.flags, "safe_path", False))


def forget() -> None:
    """Drop what the template and all its kernels would have in common."""
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]  # noqa: SLF001 - nobody else sets it after a fork
    if (tempfile := sys.modules.get("tempfile")) is not None:
        vars(tempfile).update(tempdir=None, _name_sequence=None)
    if (process := sys.modules.get("multiprocessing.process")) is not None:
        process.current_process().authkey = os.urandom(32)
    if (logging := sys.modules.get("logging")) is not None:
        vars(logging)["_startTime"] = time.time()
    main = types.ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    sys.modules["__main__"] = main


def fork(channel: socket.socket, image: Image, warden: int, fresh: list[float]) -> int | str:
    """Fork a spare.

    Returns:
        in the template, the descriptor to hear of the spare by; in a spare that has become a kernel, the
        module to run.
    """
    hear, tell = os.pipe()
    if pid := os.fork():
        os.close(tell)
        os.waitpid(pid, 0)
        return hear
    try:
        middle = os.getpid()
        if os.fork():
            os._exit(0)
        spare = Spare(image, warden, middle)
        if idle(channel):
            warm()  # once more: it copies the pages that a kernel will write to before its time counts
        return spare.become(spare.wait(channel, tell, fresh))
    except BaseException:  # noqa: BLE001 - boundary: what goes wrong in a fork must not go on as the template
        os._exit(127)


def serve(channel: socket.socket, image: Image) -> str:
    """Keep a spare waiting; return, in one that has become a kernel, the module to run.

    In the template this ends with the socket, or with its replacement.
    """
    warden = os.getppid()
    fresh = stamps()
    while True:
        hear = fork(channel, image, warden, fresh)
        if isinstance(hear, str):
            return hear
        said = os.read(hear, 1)
        os.close(hear)
        if said == STALE:
            os.dup2(channel.fileno(), 0)
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself, anew
        if not said and over(channel):
            sys.exit(0)


def idle(channel: socket.socket) -> bool:
    """Whether nothing has come: no launch, and not the end."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return not poll.poll(0)


def over(channel: socket.socket) -> bool:
    """Whether nobody holds the other end any more; a spare also ends when somebody kills it."""
    poll = select.poll()
    poll.register(channel, 0)
    return bool(poll.poll(0))


def end(code: object, ours: set[str]) -> None:
    """End a kernel without taking the whole interpreter apart, where nobody could tell the difference.

    Returns when something is there that might: an extension module with an end of its own, a strange code.
    Threads are waited for, exit functions run, what the user and his modules made is destroyed as ever.

    Args:
        code: of the SystemExit.
        ours: names of the modules that the template held.
    """
    theirs = [module for name, module in sys.modules.items() if name not in ours and module is not None]
    compiled = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    if any(str(getattr(module, "__file__", "")).endswith(compiled) for module in theirs):
        return
    if code is not None and not isinstance(code, int):
        return
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - what an interpreter ends with
    atexit._run_exitfuncs()  # noqa: SLF001 - what an interpreter ends with
    for module in (sys.modules["__main__"], *reversed(theirs)):
        vars(module).clear()
    gc.collect()  # the template's objects are frozen: this looks at the user's alone
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit((code or 0) & 0xFF)


def main() -> None:
    """Serve until the socket's end; in a kernel, be that kernel."""
    image = Image()
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    if not isolated():
        del sys.path[0]
    preload()
    neighbour("quick").quicken()  # where that is known to change nothing else
    warm()
    gc.collect()
    gc.freeze()
    module = serve(channel, image)
    channel.detach()
    ours = set(sys.modules)
    try:
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]  # noqa: SLF001 - what `python -m` calls
    except SystemExit as error:
        end(error.code, ours)
        raise
    end(None, ours)


if __name__ == "__main__":
    main()
