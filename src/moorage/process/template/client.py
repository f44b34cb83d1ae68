"""moorage's end of the templates: which launch can be forked, from which template, and the asking for it.

What a template does is described in :mod:`moorage.process.template.main`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import socket
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

from moorage.errors import MoorageError
from moorage.kinds import FORKABLE_MODULES
from moorage.process.base import LocalSpec
from moorage.process.capture import Capture
from moorage.process.warden.client import Warden, described
from moorage.process.warden.launched import ChildEnded, ChildRefused
from moorage.process.warden.process import payload
from moorage.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.process.warden.launched import ChildLaunch

_log = logging.getLogger("moorage.launch")

Fork = Literal["auto", "made", True, False]
"""Whether to fork: always where it can be done, never, from the second launch alike on, or (``made``) where
a template has proven itself already, for a caller that would not wait until one is made."""

# Read while an interpreter, its C library or a module that kernels import starts: a fork would not see a
# change. What else the imports read is known to tests/process/template/test_client.py.
_EARLY = (
    *("PYTHON", "_PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_", "OPENSSL_"),
    *(
        "PYDEV",
        "DEBUGPY_",
        "DEBUG_PYDEVD_",
        "PYCHARM_",
        "GEVENT_",
        "IPYTHON_",
        "TRAITLETS_",
        "TORNADO_",
        "PYZMQ_",
        "PSUTIL_",
    ),
)
_EARLY_NAMES = frozenset(
    {
        *("LANG", "LANGUAGE", "HOME", "USER", "IPYTHONENABLE", "PATHS_FROM_ECLIPSE_TO_PYTHON"),
        *("JPY_PARENT_PID", "JPY_INTERRUPT_EVENT", "JUPYTER_PLATFORM_DIRS", "JUPYTER_USE_PROGRAMDATA"),
        "JUPYTER_ALLOW_INSECURE_WRITES",
    }
)

# Their values are looked up from the working directory unless they are absolute.
_PLACES = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX")

# Flags that take no further word and mean the same to the template; -c or a script would be something else.
_FLAG = re.compile(r"-(?:[bBdEIOPqRsSuvx]+|[XW].+)")

MOST = 4
"""Templates kept by one warden, 45 MiB each; the one not used for longest is let go."""

# Longest command line that ps shows of a kernel; the template is started with an argument to overwrite.
_ROOM = 512
_OUTPUT = 16 * 1024

_SILENT, _IMPORTS = 5.0, 30.0


@dataclass(frozen=True)
class TemplateKey:
    """What two launches must have in common to be forked from one template.

    Attributes:
        command: the interpreter's path and its flags.
        env: variables that count from the first moment on.
        cwd: where relative entries of PYTHONPATH are looked up; else ``/``.
    """

    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str


def template_of(spec: LocalSpec) -> TemplateKey | None:
    """Return the template ``spec`` could be forked from, or None when it has to be spawned."""
    return None if obstacle(spec) else _template(spec)


def obstacle(spec: LocalSpec) -> str:
    """Return why ``spec`` cannot be forked from any template, or an empty string."""
    if sys.platform != "linux":
        return "kernels are forked on Linux alone"
    if spec.stdin is not None:
        return "it has an input of its own"
    if spec.options:
        return "it has a user, limits or descriptors of its own"
    at = spec.argv.index("-m") if "-m" in spec.argv else len(spec.argv)
    if not FORKABLE_MODULES.intersection(spec.argv[at + 1 : at + 2]):
        return "ipykernel and kernels built on it are forked, and this is none of them"
    for flag in spec.argv[1:at]:
        if not _FLAG.fullmatch(flag):
            return f"no template has the interpreter's flag {flag!r}"
    program = _program(spec)
    return "" if program and _is_program(program) else f"{spec.argv[0]!r} is no interpreter itself"


def _program(spec: LocalSpec) -> str | None:
    return shutil.which(spec.argv[0], path=spec.env.get("PATH", os.defpath))


def _template(spec: LocalSpec) -> TemplateKey:
    # An empty entry of PYTHONPATH is the working directory, an empty PYTHONPATH is none.
    paths = [path for name in _PLACES if (value := spec.env.get(name)) for path in value.split(os.pathsep)]
    relative = not all(map(os.path.isabs, paths))
    command = (_program(spec) or "", *spec.argv[1 : spec.argv.index("-m")])
    return TemplateKey(command, early(spec.env), spec.cwd if relative else "/")


def _is_program(path: str) -> bool:
    """Whether this is an interpreter itself; a script around one may do what a fork would not see."""
    try:
        with open_regular(path) as file:
            return Path(path).is_absolute() and file.read(4) == b"\x7fELF"
    except OSError:
        return False


def early(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the variables that count from a process's first moment on, sorted."""
    counts = {name for name in env if name.startswith(_EARLY)} | (_EARLY_NAMES & env.keys())
    return tuple(sorted((name, env[name]) for name in counts))


class Template:
    """One template process, for as long as its warden lives.

    Attributes:
        births: how many kernels it has forked, as far as was waited for.
    """

    def __init__(self, warden: Warden, key: TemplateKey, env: Mapping[str, str]) -> None:
        """Start it; what is asked of it while it imports waits in its socket.

        Raises:
            WardenLost, OSError: it cannot be started.
        """
        self._warden = warden
        self._template = key
        self._env = env
        self.births = 0
        self._reads: dict[str, str | None] = {}
        self._refused = ""
        self._capture = Capture(None, _OUTPUT)
        warden.link.follow(self)
        self._channel, theirs = _socketpair()
        self._channel.setblocking(False)
        script = str(Path(__file__).with_name("main.py"))
        argv = (*key.command, script, "-" * _ROOM)
        spec = LocalSpec(argv, key.cwd, env, stdin=theirs.fileno(), keep_output=_OUTPUT)
        writer = self._capture.open()
        try:
            self._process = warden.spawn(spec, writer, writer, self._ended)
            self._process.lasting = True
        except BaseException:
            self._ended()
            raise
        finally:
            os.close(writer)
            theirs.close()

    @property
    def reads(self) -> Mapping[str, str | None]:
        """Environment variables that the interpreter's start-up code reads, as far as it has told."""
        self._hear()
        return self._reads

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._channel.fileno() >= 0 and not isinstance(self._process.state, ChildRefused | ChildEnded)

    @property
    def proven(self) -> bool:
        """Whether it has forked already."""
        return self.births > 0

    @property
    def patience(self) -> float:
        """Seconds without any birth after which it counts as dead: at first it imports."""
        return _SILENT if self.proven else _IMPORTS

    @property
    def missed(self) -> bool:
        """Whether it has forked, and was then killed: by a signal, or for want of memory."""
        state = self._process.state
        killed = isinstance(state, ChildEnded) and state.status.signal is not None
        return killed and self.proven

    def fork(self, spec: LocalSpec, stdout: int, stderr: int, on_exit: Callable[[], None]) -> ChildLaunch:
        """Ask for a kernel; arguments, result and errors as of :meth:`Warden.spawn`.

        A launch refused at the stage ``template`` was never begun: spawn it.
        """
        reader, writer = os.pipe()
        opened = [reader, writer]
        try:
            launched = self._warden.expect(reader, on_exit, kernel=spec.kernel)
            outer = os.environ.get("MOORAGE_LAUNCH", "")
            marker = f"{outer}/{launched.id}" if outer else str(launched.id)
            opened.append(payload(json.dumps(described(spec, MOORAGE_LAUNCH=marker)).encode()))
            # Where it cannot be taken, closing the pipe tells the warden that nothing will come of it.
            with suppress(OSError):
                _send(self._channel, b"fork", [opened[2], stdout, stderr, writer])
        finally:
            for fd in opened:
                os.close(fd)
        return launched

    def refusal(self, spec: LocalSpec) -> str:
        """Return why ``spec`` was not forked from it, in a sentence."""
        if names := unlike(self.reads, spec):
            return f"start-up code of the interpreter reads {', '.join(names)}: no template had the same"
        words = self._capture.text().strip().splitlines()
        return self._refused or (f"the template failed: {words[-1]}" if words else "the template failed")

    def retire(self) -> None:
        """Let it end; what it was asked for so far is still forked."""
        self._channel.close()

    def give_up(self) -> None:
        """Kill it with what it has forked that is no kernel yet: it is silent."""
        self._warden.kill(self._process.id)
        self.retire()

    def watch(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Read what it says in that loop; see :class:`moorage.process.warden.endpoint.Follower`."""
        self._capture.watch(loop)

    def abandon(self) -> None:
        """Close what is held of it; see :class:`moorage.process.warden.endpoint.Follower`."""
        self._capture.abandon()
        self._channel.close()

    def _hear(self) -> None:
        """Take in what it has told, without waiting; what it could not do is logged."""
        while self._channel.fileno() >= 0:
            try:
                packet = self._channel.recv(_OUTPUT * 4)
            except ConnectionResetError:  # it ended with packets of ours unread; its own still wait
                continue
            except OSError:  # nothing more
                return
            if not packet:
                return
            told = json.loads(packet)
            self._refused = told.get("refused", "")
            self._reads = {name: self._env.get(name) for name in told.get("reads", ())}
            for missed in told.get("missed", ()):
                _log.warning("kernels forked from %s are slower: %s", self._template.command[0], missed)

    def _ended(self) -> None:
        self._hear()
        self._capture.close()
        if self._channel.fileno() >= 0 and not self.missed:  # else it was let go
            level = logging.INFO if self._refused else logging.WARNING
            words = self._refused or self._capture.text().strip() or "it said nothing"
            _log.log(level, "no kernel is forked from %s: %s", self._template.command[0], words)
        self._channel.close()


def unlike(reads: Mapping[str, str | None], spec: LocalSpec) -> list[str]:
    """Return those of the variables that ``spec`` has otherwise than a template."""
    return sorted(name for name, value in reads.items() if spec.env.get(name) != value)


def _socketpair() -> tuple[socket.socket, socket.socket]:
    if sys.platform == "linux":
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    raise OSError("templates need Linux")


def _send(channel: socket.socket, packet: bytes, fds: Sequence[int]) -> None:
    if sys.platform == "linux":
        socket.send_fds(channel, [packet], fds)
        return
    raise OSError("templates need Linux")


class _Templates:
    """A warden's templates, and how often each template was wanted."""

    def __init__(self) -> None:
        self.made: dict[TemplateKey, Template] = {}
        self.wanted: Counter[TemplateKey] = Counter()


_templates: WeakKeyDictionary[Warden, _Templates] = WeakKeyDictionary()


def template_for(warden: Warden, spec: LocalSpec, fork: Fork) -> Template | str:
    """Return the template to fork ``spec`` from, started if that pays; else why it is to be spawned.

    Args:
        warden: parent of both.
        spec: what is to be launched.
        fork: see :data:`Fork`.
    """
    if not fork:
        return "it was asked not to be"
    if why := obstacle(spec):
        return why
    key = _template(spec)
    own = _templates.setdefault(warden, _Templates())
    template = own.made.get(key)
    if template is not None and (names := unlike(template.reads, spec)):
        more = tuple((name, spec.env.get(name, "")) for name in names)
        key = replace(key, env=(*key.env, *more))
        template = own.made.get(key)
    if fork == "made":
        return (
            template
            if template is not None and template.alive and template.proven
            else "no template is made yet"
        )
    own.wanted[key] += 1
    if template is None or template.missed:
        if fork is not True and own.wanted[key] == 1:
            return "it is the first one of its kind"
        try:
            template = own.made[key] = Template(warden, key, spec.env)
        except (MoorageError, OSError) as error:
            return f"no template can be started: {error}"
    own.made[key] = own.made.pop(key)  # the one used last stands last
    while len(own.made) > MOST:
        own.made.pop(next(iter(own.made))).retire()
    # One that has ended by itself could not import what kernels import, or is no template.
    return template if template.alive else template.refusal(spec)
