"""moorage's end of the templates: which launch can be forked, from which template, and the asking for it.

What a template does is described in :mod:`moorage.process.template.main`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
import sys
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from moorage.errors import MoorageError
from moorage.process.base import Fork, LocalSpec
from moorage.process.capture import Capture
from moorage.process.explain import exhausted
from moorage.process.template.key import TemplateKey, entry, key_of, obstacle, unlike
from moorage.process.warden.client import Warden, described
from moorage.process.warden.launched import ChildEnded, ChildRefused
from moorage.process.warden.process import payload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from moorage.process.warden.launched import ChildLaunch

_log = logging.getLogger("moorage.launch")

MOST = 4
"""Templates kept by one warden, 45 MiB each; the one not used for longest is let go."""

_OUTPUT = 16 * 1024

_SILENT, _IMPORTS = 5.0, 30.0

# As in the template: what the system refuses for want of room, and the exit status that says so.
_SHORT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
_NO_ROOM = 75


class Template:
    """One template process, for as long as its warden lives.

    Args:
        warden: its parent.
        key: what all its kernels have in common.
        env: of the launch that wants it.
        again: it takes the place of one that was killed before it had forked.

    Attributes:
        births: how many kernels it has forked, as far as was waited for.
    """

    def __init__(
        self, warden: Warden, key: TemplateKey, env: Mapping[str, str], *, again: bool = False
    ) -> None:
        """Start it; what is asked of it while it imports waits in its socket.

        Raises:
            WardenLost, OSError: it cannot be started.
        """
        self._warden = warden
        self._template = key
        self._env = env
        self._again = again
        self.births = 0
        self._reads: dict[str, str | None] = {}
        self._refused = ""
        self._short_at = -1  # how many had been forked when a fork was last refused
        self._capture = Capture(None, _OUTPUT)
        warden.link.follow(self)
        self._channel, theirs = _socketpair()
        self._channel.setblocking(False)
        argv, surroundings = entry(key, env)
        spec = LocalSpec(argv, key.cwd, surroundings, stdin=theirs.fileno(), keep_output=_OUTPUT)
        writer = self._capture.open()
        try:
            self._process = warden.spawn(spec, writer, writer, self._ended)
            self._process.lasting = True
        except BaseException:
            self._capture.close()
            self._channel.close()
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
        """Whether another may do better.

        Where there was no room for it; where it was killed after it had forked, and once where before.
        """
        match self._process.state:
            case ChildEnded(status=status) if status.signal is not None:
                return self.proven or not self._again
            case ChildEnded(status=status):
                return status.code == _NO_ROOM
            case ChildRefused(number=number):
                return number in _SHORT
        return False

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

    def refusal(self, spec: LocalSpec, number: int = 0) -> str:
        """Return why ``spec`` was not forked from it, in a sentence.

        Args:
            spec: what was to be forked.
            number: the errno that the template has told.
        """
        if number in _SHORT:
            why = f"the template could not fork: {exhausted(number)['why']}"
            if self._short_at != self.births:  # once, until it has forked again
                self._short_at = self.births
                _log.warning("%s: %s; the next launch tries again", self._template.command[0], why)
            return why
        if names := unlike(self.reads, spec):
            return f"start-up code of the interpreter reads {', '.join(names)}: no template had the same"
        words = self._capture.text().strip().splitlines()
        return self._refused or (f"the template failed: {words[-1]}" if words else self._how())

    def _how(self) -> str:
        """Return how it ended, in a clause."""
        match self._process.state:
            case ChildEnded(status=status) if status.signal is None:
                return f"the template ended with {status.describe()}"
            case ChildEnded(status=status):
                return f"the template was {status.describe()}"
            case ChildRefused(stage, number):
                return f"the template could not be started ({stage}: {os.strerror(number)})"
            case _:
                return "the template failed"

    def retire(self) -> None:
        """Let it end; what it was asked for so far is still forked."""
        self._channel.close()

    def give_up(self) -> None:
        """Kill it with what it has forked that is no kernel yet: it is silent."""
        self._refused = f"the template forked nothing in {self.patience:g} s and was killed"
        _log.info("%s: %s", self._template.command[0], self._refused)
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
        """Tell what is a failure of its own; it was let go where moorage ended it, or its warden.

        All ways in which a template ends stand in docs/design/0006-template.md.
        """
        self._hear()
        self._capture.close()
        if self._channel.fileno() >= 0:  # else it was let go
            expected = self._refused or self.missed
            words = self._refused or f"{self._how()}, and said {self._capture.text().strip() or 'nothing'}"
            level = logging.INFO if expected else logging.WARNING
            _log.log(level, "no kernel is forked from %s: %s", self._template.command[0], words)
        self._channel.close()


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


def has_templates(warden: Warden) -> bool:
    """Tell whether a template was ever wanted of a warden."""
    return warden in _templates


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
    key = key_of(spec)
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
        again = template is not None and not template.proven
        try:
            template = own.made[key] = Template(warden, key, spec.env, again=again)
        except (MoorageError, OSError) as error:
            return f"no template can be started: {error}"
    own.made[key] = own.made.pop(key)  # the one used last stands last
    while len(own.made) > MOST:
        own.made.pop(next(iter(own.made))).retire()
    # One that has ended by itself could not import what kernels import, or is no template.
    return template if template.alive else template.refusal(spec)
