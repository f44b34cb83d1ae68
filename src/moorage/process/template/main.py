"""The template: a template process with a kernel's imports done, which forks kernels.

Run as ``PYTHON [FLAGS] main.py`` by the interpreter of the kernels, which need not have moorage: standard
library only, from Python 3.9 on. Its stdin is a SOCK_SEQPACKET socket; its end is the template's end. One
packet with four descriptors is one kernel to be: payload (argv, cwd, env as JSON), stdout, stderr, and the
pipe that learns ``pid N`` once the kernel is itself, or ``STAGE ERRNO``, or nothing at all.

There is always one spare, forked ahead, which waits at the socket, takes the next packet and becomes that
kernel, while the template forks the next; where several packets wait, there are as many spares at once, up
to MOST_SPARES. Spares are forked by a process between that ends at once, so that the warden, which is the
template's parent and a subreaper, becomes theirs. What a fork shares with its template and user code
could notice is put right by ``after_fork.py``; docs/design/0006-template.md says what it is, and
what all costs.
"""
# ruff: noqa: PTH100, PTH118, PTH120, PTH123, PTH208 - pathlib would be one more thing a fork shares with its template

from __future__ import annotations

import contextlib
import errno
import fcntl
import fnmatch
import gc
import importlib
import importlib.util
import json
import os
import re
import runpy
import select
import signal
import socket
import sys
import termios

assert sys.platform == "linux", "templates need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
TAKEN, STALE = b"t", b"s"
"""What a spare tells its template: it has become a kernel; what is installed has changed."""
ASKED = b"fork"
"""The packet that comes with a launch's descriptors."""
MOST_SPARES = 4
"""Spares forked at once: the first of them waits for the last, and each saves most of a fork."""
MOST_TOLD = 60_000
"""Bytes of what a template tells: a packet."""
MOST_LOST = 3
"""Times in succession that spares may end without a word before the template takes it for its own fault."""

_PROCESS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load(name: str) -> Any:
    """Load a file of ``moorage.process``, in no list of modules: users may have one of that name."""
    spec = importlib.util.spec_from_file_location(f"moorage_{name}", os.path.join(_PROCESS, f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process.template import after_fork, startup_code
else:
    after_fork, startup_code = load("template/after_fork"), load("template/startup_code")

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


def preload() -> None:
    """Import what kernels import; what is not there, they will do without too."""
    for name in PRELOAD:
        try:
            importlib.import_module(name)
        except ImportError:
            if name == PRELOAD[0]:
                raise


def warm() -> list[str]:
    """Do once what every kernel does, where it leaves nothing behind but compiled patterns and the like.

    Returns:
        what could not be done, each with the reason: a kernel will do it later, if at all.
    """
    missed = []
    for step in (warm_patterns, warm_completer, warm_session, warm_application):
        try:
            for _ in range(2):
                step()
        except Exception as error:  # noqa: BLE001 - boundary: a fork is only slower without
            missed.append(f"{step.__name__}: {type(error).__name__}: {error}")
    return missed


def warm_patterns() -> None:
    """Transform a cell, format a result, match the names of startup files."""
    from IPython.core.formatters import DisplayFormatter  # noqa: PLC0415 - the kernels' interpreter has it
    from IPython.core.inputtransformer2 import TransformerManager  # noqa: PLC0415 - as above

    TransformerManager().transform_cell("print(1 + 1)\n")
    DisplayFormatter().format(1)
    for suffix in ("py", "ipy"):
        re.compile(fnmatch.translate(f"*.{suffix}"))


def warm_completer() -> None:
    """Make a completer."""
    from IPython.core.completer import IPCompleter  # noqa: PLC0415 - the kernels' interpreter has it

    IPCompleter(shell=None)


def warm_session() -> None:
    """Make a message."""
    from jupyter_client.session import Session  # noqa: PLC0415 - the kernels' interpreter has it

    session = Session(key=b"key")
    session.serialize(session.msg("status", {"execution_state": "idle"}))


def warm_application() -> None:
    """Read a command line."""
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - the kernels' interpreter has it

    IPKernelApp().parse_command_line(["-f", "kernel.json"])


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
    """Return the bytes that moorage meant: paths and variables need not be text."""
    return text.encode("utf-8", "surrogateescape")


class Spare:
    """A fork that waits for its launch, and becomes that kernel."""

    def __init__(self, image: after_fork.Image, warden: int, middle: int) -> None:
        os.setsid()
        # The process between is about to end; until then its end would be ours.
        while os.getppid() == middle:
            os.sched_yield()
        image.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != warden:
            os._exit(127)
        self._image = image

    def wait(self, channel: socket.socket, tell: int, stale: Callable[[], bool]) -> list[int]:
        """Wait for a launch and return its descriptors; end here when there is none to come."""
        poll = select.poll()
        poll.register(channel, select.POLLIN)
        poll.poll()
        if stale():
            os.write(tell, STALE)
            os._exit(0)  # the packet stays for a spare of the next template
        packet, fds = receive(channel)
        if not packet:
            os._exit(0)
        os.write(tell, TAKEN)
        return fds

    def become(self, fds: list[int], before: after_fork.Before, reads: list[bytes]) -> str:
        """Turn into the kernel, up to the point where its own code runs; return the module to run."""
        report, stage = fds[3], "template"
        try:
            spec = json.loads(os.pread(fds[0], os.fstat(fds[0]).st_size, 0))
            argv = [raw(word) for word in spec["argv"]]
            if b"\0" in b"".join(argv):
                raise ValueError("no process has such an argument")  # noqa: TRY301 - handled as what json raises
            env = {raw(name): raw(value) for name, value in spec["env"].items()}
            if any(env.get(name) != before.initial.get(name) for name in reads):
                raise OSError(errno.EXDEV, "start-up code read another environment")  # noqa: TRY301 - as above
            os.dup2(fds[1], 1)
            os.dup2(fds[2], 2)
            report = os.dup2(report, 3)
            shut(4)
            self._image.overwrite(argv, env)
            stage = "chdir"
            os.chdir(raw(spec["cwd"]))
            if spec.get("isolate") == "net":
                load("netns/enter").enter()
            stage = "template"
            after_fork.surround(argv, env, before)
            after_fork.forget()
            os.write(report, b"pid %d" % os.getpid())
            os.close(report)
        except OSError as error:
            self._fail(report, getattr(error, "stage", stage), error.errno or 0)
        except BaseException:  # noqa: BLE001 - boundary: only the report is heard, and moorage spawns instead
            self._fail(report, stage, errno.EINVAL)
        return sys.argv[0]

    def _fail(self, report: int, stage: str, number: int) -> NoReturn:
        os.write(report, b"%s %d" % (stage.encode(), number))
        os._exit(127)


def shut(lowest: int) -> None:
    """Close all descriptors from ``lowest`` on, and look for them first: there may be room for a billion."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= lowest:
            with contextlib.suppress(OSError):  # one is that by which this list was read
                os.close(int(name))


class TemplateServer:
    """The process that forks; what its forks need to know."""

    def __init__(
        self, channel: socket.socket, image: after_fork.Image, before: after_fork.Before, told: dict[str, Any]
    ) -> None:
        self._channel = channel
        self._image = image
        self._before = before
        self._reads = [os.fsencode(name) for name in told["reads"]]
        self._warden = os.getppid()
        self._places = startup_code.stamped(told["files"])
        self._fresh = startup_code.stamps(self._places)

    def stale(self) -> bool:
        """Whether what an interpreter runs as it starts, or what is installed, has changed."""
        return startup_code.stamps(self._places) != self._fresh

    def serve(self) -> str:
        """Keep a spare waiting; return, in one that has become a kernel, the module to run.

        In the template this ends with the socket, or with its replacement.
        """
        lost = 0
        while lost < MOST_LOST:
            count = min(max(1, waiting(self._channel)), MOST_SPARES)
            hear = self.fork(count)
            if isinstance(hear, str):
                return hear
            said = b""
            while len(said) < count and (word := os.read(hear, 1)):
                if word == STALE:
                    os.dup2(self._channel.fileno(), 0)
                    argv = [os.fsencode(sys.executable), *command()[1:]]
                    os.execve(sys.executable, argv, self._before.initial)  # noqa: S606 - itself, anew
                said += word
            os.close(hear)
            if not said and over(self._channel):
                sys.exit(0)
            lost = 0 if said else lost + 1
        sys.exit(1)

    def fork(self, count: int) -> int | str:
        """Fork spares.

        Returns:
            in the template, the descriptor to hear of the spares by; in a spare that has become a kernel,
            the module to run.
        """
        hear, tell = os.pipe()
        if pid := os.fork():
            os.close(tell)
            os.waitpid(pid, 0)
            return hear
        try:
            middle = os.getpid()
            ended, held = os.pipe()
            if all(os.fork() for _ in range(count)):
                os._exit(0)
            os.close(held)
            os.read(ended, 1)
            os.close(ended)
            spare = Spare(self._image, self._warden, middle)
            if not waiting(self._channel) and not over(self._channel):
                warm()  # once more: it copies the pages that a kernel will write to before its time counts
            return spare.become(spare.wait(self._channel, tell, self.stale), self._before, self._reads)
        except BaseException:  # noqa: BLE001 - boundary: what goes wrong in a fork must not go on as the template
            os._exit(127)


def command() -> list[bytes]:
    """Return this process's command line; ``sys.orig_argv`` is there from Python 3.10 on."""
    with open("/proc/self/cmdline", "rb") as file:
        return file.read().split(b"\0")[:-1]


def waiting(channel: socket.socket) -> int:
    """Return how many launches wait there to be taken."""
    told = fcntl.ioctl(channel, termios.FIONREAD, bytes(4))  # the bytes of all packets, see unix(7)
    return int.from_bytes(told, sys.byteorder) // len(ASKED)


def over(channel: socket.socket) -> bool:
    """Whether the other end is closed; a spare also ends when it is killed."""
    poll = select.poll()
    poll.register(channel, 0)
    return bool(poll.poll(0))


def watched(before: after_fork.Before, channel: socket.socket) -> startup_code.Watched | None:
    """Have the start-up code watched by another interpreter; end here where a look at this one is enough."""
    if why := startup_code.left(channel.fileno()):
        refuse(channel, why)
    if sys.flags.no_site:
        return None
    words = command()
    return startup_code.Watched(words[: words.index(os.fsencode(sys.argv[0]))], before.initial)


def refuse(channel: socket.socket, why: str) -> NoReturn:
    """Say why this is no template, and end."""
    channel.send(json.dumps({"refused": why}).encode()[:MOST_TOLD])
    sys.exit(1)


def prepare() -> list[str]:
    """Import what kernels import, and improve it; return what could not be done."""
    preload()
    missed: list[str] = load("ipykernel_patches/forked").patch() + warm()
    try:
        load("ipykernel_patches/events").keep_going()
    except (AttributeError, ImportError, KeyError) as error:
        missed.append(f"keep_going: {type(error).__name__}: {error}")
    return missed


def main() -> None:
    """Serve until the socket's end; in a kernel, be that kernel."""
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    before = after_fork.Before(startup_code.initial())
    watch = watched(before, channel)
    image = after_fork.Image()
    if not after_fork.isolated():
        del sys.path[0]
    for path in (os.path.dirname(os.path.abspath(__file__)), os.path.abspath(__file__)):
        sys.path_importer_cache.pop(path, None)
    collecting = gc.isenabled()  # a sitecustomize may have thought otherwise
    gc.disable()  # a fifth of the start, for 400 KB
    missed = prepare()
    told = {"does": [], "reads": [], "files": [], **(watch.told() if watch else {})}
    if told["does"]:
        refuse(channel, "; ".join(told["does"]))
    if "*" in told["reads"]:
        refuse(channel, "start-up code reads all environment variables")
    channel.send(json.dumps({"reads": told["reads"], "missed": missed}).encode()[:MOST_TOLD])
    before.imported()
    sys.stdout.flush()  # what imports have printed is not the kernels' to print
    gc.freeze()
    if collecting:
        gc.enable()  # not before: it would go through all that was imported
    ours = set(sys.modules)  # it writes to each name: in a fork that would copy a hundred pages
    module = TemplateServer(channel, image, before, told).serve()
    channel.detach()
    code: object = None
    try:
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]  # noqa: SLF001 - what `python -m` calls
    except SystemExit as error:
        code = error.code
    after_fork.end(code, ours)
    sys.exit(code)  # type: ignore[arg-type]  # whatever the kernel ended with


if __name__ == "__main__":
    main()
