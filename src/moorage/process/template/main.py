"""The template: a process with a kernel's imports done, which forks kernels.

Loaded by ``entry/moorage_template.py`` in the interpreter of the kernels, which need not have moorage:
standard library only, from Python 3.9 on. Its stdin is a SOCK_SEQPACKET socket; its end is the template's
end. One packet with four descriptors is one kernel to be: payload (argv, cwd, env as JSON), stdout, stderr,
and the pipe that learns ``pid N`` once the kernel is itself, or ``STAGE ERRNO``, or nothing at all.

There is always one spare, forked ahead, which waits at the socket, takes the next packet and becomes that
kernel, and a moment later the template forks the next; where several packets wait, there are as many spares
at once, up to MOST_SPARES. Spares are forked by a process between that ends at once, so that the warden,
which is the template's parent and a subreaper, becomes theirs. What a fork shares with its template and user
code could notice is put right by ``after_fork.py``; docs/design/0006-template.md says what it is, and what
all costs.
"""
# ruff: noqa: PTH100, PTH118, PTH120, PTH123, PTH208 - pathlib would be one more thing a fork shares with its template

from __future__ import annotations

import contextlib
import errno
import gc
import importlib.util
import json
import os
import select
import signal
import socket
import sys

assert sys.platform == "linux", "templates need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
TAKEN, STALE = b"t", b"s"
"""What a spare tells its template, before its pid: it becomes a kernel; what is installed has changed."""
WORD = 5
"""Bytes of it."""
MOST_SPARES = 4
"""Spares forked at once: the first of them waits for the last, and each saves most of a fork."""
HEAD_START = 20
"""Milliseconds that a kernel has to itself before the next spare is forked, unless a launch waits for one."""
LOOKS = (40, 200)
"""Milliseconds between a kernel's birth and the looks at what it needs."""
MOST_TOLD = 60_000
"""Bytes of what a template tells: a packet."""
SHORT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""What the system refuses for want of room, and may grant again."""
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
    from moorage.process.template import after_fork, launches, pages, preloaded, startup_code
else:
    after_fork, launches, pages, preloaded, startup_code = (
        load(f"template/{name}") for name in ("after_fork", "launches", "pages", "preloaded", "startup_code")
    )


def raw(text: str) -> bytes:
    """Return the bytes that moorage meant: paths and variables need not be text."""
    return text.encode("utf-8", "surrogateescape")


class Spare:
    """A fork that waits for its launch, and becomes that kernel."""

    def __init__(self, image: after_fork.Image, warden: int, middle: int, held: set[int]) -> None:
        os.setsid()
        # The process between is about to end; until then its end would be ours.
        while os.getppid() == middle:
            os.sched_yield()
        image.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != warden:
            os._exit(127)
        self._image, self._held = image, held

    def wait(self, channel: socket.socket, tell: int, stale: Callable[[], bool]) -> list[int]:
        """Wait for a launch and return its descriptors; end here when there is none to come."""
        poll = select.poll()
        poll.register(channel, select.POLLIN)
        poll.poll()
        pid = os.getpid().to_bytes(WORD - 1, sys.byteorder)
        if stale():
            os.write(tell, STALE + pid)
            os._exit(0)  # the packet stays for a spare of the next template
        packet, fds = launches.receive(channel)
        if not packet:
            os._exit(0)
        os.write(tell, TAKEN + pid)
        return fds

    def become(self, fds: list[int], before: after_fork.Before, reads: list[bytes]) -> str:
        """Turn into the kernel, up to the point where its own code runs; return the module to run."""
        report, stage = fds[launches.REPORT], "template"
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
            report = os.dup2(report, next(number for number in range(3, 99) if number not in self._held))
            shut({0, 1, 2, report, *self._held})
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
        return os.fsdecode(argv[argv.index(b"-m") + 1])

    def _fail(self, report: int, stage: str, number: int) -> NoReturn:
        os.write(report, b"%s %d" % (stage.encode(), number))
        os._exit(127)


def shut(kept: set[int]) -> None:
    """Close all descriptors but these, and look for them first: there may be room for a billion."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
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
        self._warden, self._held = os.getppid(), startup_code.of_libraries()
        self._places = startup_code.stamped(told["files"])
        self._fresh = startup_code.stamps(self._places)
        self._pages, self._born = pages.Pages(), 0

    def stale(self) -> bool:
        """Whether what an interpreter runs as it starts, or what is installed, has changed."""
        return startup_code.stamps(self._places) != self._fresh

    def serve(self) -> str:
        """Keep a spare waiting; return, in one that has become a kernel, the module to run.

        In the template this ends with the socket, or with its replacement.
        """
        lost = 0
        while lost < MOST_LOST:
            count = min(max(1, launches.waiting(self._channel)), MOST_SPARES)
            try:
                hear = self.fork(count)
            except OSError as error:
                self.refuse(error.errno or errno.EAGAIN)
                continue
            if isinstance(hear, str):
                return hear
            said = 0
            while said < count and (word := self.hear(hear)):
                if word.startswith(STALE):
                    os.dup2(self._channel.fileno(), 0)
                    argv = [os.fsencode(sys.executable), *command()[1:]]
                    os.execve(sys.executable, argv, startup_code.initial())  # noqa: S606 - itself, anew
                said += 1
            os.close(hear)
            if not said and launches.over(self._channel):
                sys.exit(0)
            lost = 0 if said else lost + 1
            if said:
                launches.readable(self._channel, HEAD_START)
        sys.exit(f"{lost} forks in succession ended without a word")

    def refuse(self, number: int) -> None:
        """Have a launch that waits spawned; where none does, wait for one, with which to try again.

        Args:
            number: the errno that no spare could be forked for.
        """
        if launches.waiting(self._channel):
            _, fds = launches.receive(self._channel)
            with contextlib.suppress(IndexError, BrokenPipeError):  # no launch, or called off
                os.write(fds[launches.REPORT], b"template %d" % number)
            for fd in fds:
                os.close(fd)
            return
        launches.readable(self._channel, -1)
        if launches.over(self._channel):
            sys.exit(0)

    def hear(self, spares: int) -> bytes:
        """Wait for the next word of a spare; look at the kernel that was born before it meanwhile."""
        since = 0
        for after in LOOKS:
            if not (self._born and self._pages.wants(self._born)) or launches.readable(spares, after - since):
                break
            self._pages.look(self._born)
            since = after
        word = os.read(spares, WORD)
        self._born = int.from_bytes(word[1:], sys.byteorder)
        return word

    def fork(self, count: int) -> int | str:
        """Fork spares.

        Returns:
            in the template, the descriptor to hear of the spares by; in a spare that has become a kernel,
            the module to run.

        Raises:
            OSError: in the template: not one can be forked now.
        """
        hear, tell = os.pipe()
        number = 0
        try:
            if pid := os.fork():
                number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except OSError as error:
            number, pid = error.errno or errno.EAGAIN, -1
        if pid:
            os.close(tell)
            if number in SHORT:
                os.close(hear)
                raise OSError(number, os.strerror(number))
            return hear
        try:
            middle = os.getpid()
            ended, held = os.pipe()
            fork_many(count)
            os.close(held)
            os.read(ended, 1)
            os.close(ended)
            spare = Spare(self._image, self._warden, middle, self._held)
            if not launches.waiting(self._channel) and not launches.over(self._channel):
                preloaded.warm()  # once more: pages that a kernel writes to are copied before its time counts
            self._pages.take()
            return spare.become(spare.wait(self._channel, tell, self.stale), self._before, self._reads)
        except BaseException:  # noqa: BLE001 - boundary: what goes wrong in a fork must not go on as the template
            os._exit(127)


def fork_many(count: int) -> None:
    """Fork so many processes, and end; return in each of them.

    Where not one can be forked, the errno is the exit status.
    """
    for number in range(count):
        try:
            if not os.fork():
                return
        except OSError as error:
            os._exit(0 if number else error.errno or 127)
    os._exit(0)


def command() -> list[bytes]:
    """Return this process's command line; ``sys.orig_argv`` is there from Python 3.10 on."""
    with open("/proc/self/cmdline", "rb") as file:
        return file.read().split(b"\0")[:-1]


def watched(before: after_fork.Before, channel: socket.socket) -> startup_code.Watched | None:
    """Have the start-up code watched by another interpreter; end here where a look at this one is enough."""
    if why := startup_code.left(channel.fileno()):
        refuse(channel, why)
    if sys.flags.no_site:
        return None
    words = command()
    entry = next(at for at, word in enumerate(words) if word in (b"-m", b"-c"))
    return startup_code.Watched(words[:entry], before.initial)


def refuse(channel: socket.socket, why: str) -> NoReturn:
    """Say why this is no template, and end."""
    channel.send(json.dumps({"refused": why}).encode()[:MOST_TOLD])
    sys.exit(1)


def prepare() -> list[str]:
    """Import what kernels import, and improve it; return what could not be done."""
    preloaded.preload()
    missed: list[str] = load("ipykernel_patches/forked").patch() + preloaded.warm()
    try:
        load("ipykernel_patches/events").keep_going()
    except (AttributeError, ImportError, KeyError) as error:
        missed.append(f"keep_going: {type(error).__name__}: {error}")
    return missed


def unlist_entry(env: MutableMapping[bytes, bytes]) -> None:
    """Take the folder that the template was found in from PYTHONPATH."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "entry")
    paths = env.get(b"PYTHONPATH", b"").split(os.pathsep.encode())
    if (own := os.fsencode(folder)) in paths:
        paths.remove(own)
        if paths:
            env[b"PYTHONPATH"] = os.pathsep.encode().join(paths)
        else:
            del env[b"PYTHONPATH"]


def main() -> str:
    """Serve until the socket's end; in a kernel, return its module, which is to be run as ``__main__``.

    Where there is no room for a template now, it ends with ``EX_TEMPFAIL``: another may do better.
    """
    try:
        return begin()
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno not in SHORT:
            raise
        sys.stderr.write(f"{str(error) or 'no memory is left'}\n")
        sys.exit(os.EX_TEMPFAIL)


def begin() -> str:
    """Do what :func:`main` does, with errors as they come."""
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    initial = startup_code.initial()
    for env in (initial, os.environb):
        unlist_entry(env)
    before = after_fork.Before(initial)
    watch = watched(before, channel)
    image = after_fork.Image()
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
    server = TemplateServer(channel, image, before, told)
    module = server.serve()
    channel.detach()
    after_fork.end_quickly(ours, server)
    return module
