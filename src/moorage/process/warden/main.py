"""The warden: one small process, the parent of everything that one moorage process launches.

Run as ``python -I -S -E main.py FD``, where FD is its end of a SOCK_SEQPACKET socketpair. It is
single-threaded and loads a handful of standard modules and its neighbours in this folder, never the package:
it starts in 30 ms, and what it forks carries no threads, locks or loops along. Why it exists, and what else
was tried, stands in docs/design/0002-warden.md.

One packet is one JSON object. moorage says ``{"do": ...}``:

    spawn id stdin passed  + descriptors: payload (argv, cwd, env, process as JSON), stdout, stderr, stdin if
                         true, and so many that are passed on
    expect id            + descriptor: a child that a template forks; it says there its process id
    signal id signum     to the process group and the process
    kill id              SIGKILL to it and all it started, answered by ``gone``
    guard path link, unguard path     delete this when you end, do not; with ``link`` a symbolic link that
                         says so and nothing else
    tokens held          + descriptor: write ``held`` there should moorage die; replaces what was said before
    ping                 answered by ``pong``: the warden is there
    rest seconds         end in so many seconds, unless anything else is said before

and the warden says ``{"tell": ...}``: ``hello directory`` or ``refused why``, ``pong``, ``started id pid``,
``failed id stage errno``, ``exited id code signal maxrss oom``, ``gone id left outlived``, ``error text``.
Bytes that are no text travel as UTF-8 with surrogateescape.
"""
# ruff: noqa: PTH100, PTH120 - pathlib would double the start-up time

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys
import time

assert sys.platform == "linux", "the warden needs subreapers and pidfds"

TYPE_CHECKING = False  # typing costs a quarter of the start-up time; type checkers know this name
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process import procfs
    from moorage.process.warden import children, private_directory
    from moorage.process.warden.channel import PacketChannel
    from moorage.process.warden.kill_tree import TreeKill
else:  # run by its path, under -I: the other files are found by theirs
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    import procfs
    from warden import children, private_directory
    from warden.channel import PacketChannel
    from warden.kill_tree import TreeKill

MOST_GUARDED = 10_000
MOST_WAITS = 20
"""Looks, two seconds in all, for which a launch is not gone while an orphan of an unknown one is ending."""
PATIENCE = 2000.0
"""Milliseconds after which files are removed though a process in uninterruptible sleep is still there."""


class WardenServer:
    """The whole of it: one loop around poll(2)."""

    def __init__(self, channel: socket.socket, parent: int = 0) -> None:
        """Begin.

        Args:
            channel: the socket to moorage.
            parent: the process whose end is the warden's; 0 for the other end of the socket.
        """
        self._ending = False
        self._count = 0
        self._parent, self._parent_fd = find_parent(channel, parent)
        self._news, alarm = os.pipe()  # signals write to the second, poll watches the first
        self._packets = PacketChannel(channel)
        self._kills: dict[str, TreeKill] = {}
        self._guarded: dict[bytes, bytes | None] = {}  # with what a symbolic link says
        self._tokens = (-1, b"")
        self._rest: float | None = None  # when it ends, unused
        self._catch_signals(alarm)
        self._children = children.Children(self.tell)
        children.prctl(children.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._directory = private_directory.make()

    def _catch_signals(self, alarm: int) -> None:
        for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(signum, signal.SIG_IGN)
        os.set_blocking(self._news, False)
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing is written
        signal.signal(signal.SIGTERM, self._stop)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _stop(self, *_: object) -> None:
        self._ending = True

    def run(self) -> None:
        """Serve until moorage is gone or SIGTERM arrives."""
        self._packets.send("hello", directory=self._directory.path)
        self.sweep()
        while not self._ending:
            self.step()

    def sweep(self) -> None:
        """End what is left of wardens that were killed."""
        if swept := private_directory.sweep(self._directory):
            procfs.kill_marked(swept)

    def step(self) -> None:
        """Wait for something, and do what follows."""
        self._wait(min((*(kill.pause() for kill in self._kills.values()), *self._rested()), default=None))
        for packet, fds, cut in self._packets.receive():
            self._obey(packet, fds, cut=cut)
        self.look_at_link()
        self._children.hear()
        self._children.reap()
        if self._kills:
            self._kill_trees()

    def watch(self, poll: select.poll) -> None:
        """Have more watched than every warden does; none here."""

    def look_at_link(self) -> None:
        """End where moorage has."""
        self._ending |= self._packets.closed

    def tell(self, what: str, **rest: Any) -> None:
        """Tell moorage something."""
        self._packets.send(what, **rest)

    def _rested(self) -> list[float]:
        """Return the milliseconds until it ends unused, if it will; end it when they are over."""
        if self._rest is None:
            return []
        left = self._rest - time.monotonic()
        self._ending |= left <= 0
        return [max(0.0, left * 1000)]

    def _wait(self, milliseconds: float | None) -> None:
        poll = select.poll()
        poll.register(self._news, select.POLLIN)
        if not self._packets.closed and not self._ending:  # a dead peer's socket is ready for ever
            poll.register(
                self._packets.channel, select.POLLIN | (select.POLLOUT if self._packets.waiting else 0)
            )
        if self._parent_fd is None and milliseconds is None:
            milliseconds = 250.0  # an old kernel: the socket tells, and a look at the parent now and then
        elif self._parent_fd is not None and not self._ending:
            poll.register(self._parent_fd, select.POLLIN)
        self.watch(poll)
        for report in self._children.reports:
            poll.register(report, select.POLLIN)
        ready = dict(poll.poll(milliseconds))
        if self._news in ready:
            os.read(self._news, 4096)
        self._packets.flush()
        if self._parent_fd in ready or os.getppid() != self._parent:
            self._ending = True

    def _obey(self, packet: bytes, fds: list[int], *, cut: bool) -> None:
        """Do what one packet says; what cannot be understood is answered, never fatal."""
        try:
            message = json.loads(packet)
            self._rest = None
            match message["do"]:
                case "spawn":
                    self._spawn(message, fds, cut=cut)
                case "expect":
                    self._belongs(message)
                    self._children.expect(str(message["id"]), os.dup(fds[0]))
                case "guard" | "unguard" as what:
                    self._guard(children.raw(message["path"]), message.get("link"), keep=what == "guard")
                case "tokens":
                    self._keep_tokens(message["held"].encode("latin-1"), fds)
                case "ping" | "rest" as what:
                    self.stay(what, message)
                case "signal":
                    self._children.signal(message["id"], int(message["signum"]))
                case "kill":
                    self._kill(message["id"])
                case what:
                    self._packets.send("error", text=f"cannot do {what!r}")
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            self._packets.send("error", text=f"{type(error).__name__}: {error}")
        finally:
            for fd in fds:
                os.close(fd)

    def stay(self, what: str, message: dict[str, str]) -> None:
        """Answer that this warden is there, or take note when it is to end unused."""
        if what == "ping":
            self._packets.send("pong")
        else:
            self._rest = time.monotonic() + float(message["seconds"])

    def _spawn(self, message: dict[str, Any], fds: list[int], *, cut: bool) -> None:
        if cut or len(fds) != 3 + bool(message["stdin"]) + int(message.get("passed", 0)):
            self.tell("failed", id=message["id"], stage="descriptors", errno=errno.EMFILE)
        elif not self._ending:
            self._belongs(message)
            self._children.spawn(str(message["id"]), fds)

    def _belongs(self, message: dict[str, Any]) -> None:
        if message.get("kernel"):
            self._children.kernels[str(message["id"])] = str(message["kernel"])

    def _kill(self, name: str) -> None:
        self._children.abandon(name)
        if (child := self._children.known.get(name)) is not None:
            child.doomed = True
        self._kills.setdefault(name, TreeKill())

    def _guard(self, path: bytes, link: str | None, *, keep: bool) -> None:
        self._guarded.pop(path, None)
        if keep and len(self._guarded) < MOST_GUARDED:
            self._guarded[path] = None if link is None else children.raw(link)

    def _keep_tokens(self, held: bytes, fds: list[int]) -> None:
        if self._tokens[0] >= 0:
            os.close(self._tokens[0])
        self._tokens = (os.dup(fds[0]) if held else -1, held)

    def _give_back(self) -> None:
        """Write what moorage died with; where this warden alone ends, moorage does it itself."""
        descriptor, held = self._tokens
        self._tokens = (-1, b"")
        if held and (self._packets.closed or os.getppid() != self._parent):
            try:  # noqa: SIM105 - contextlib would be one more module to load
                os.write(descriptor, held)
            except OSError:  # the jobserver is gone
                pass

    def _kill_trees(self) -> None:
        families = self._children.families()
        for name, kill in list(self._kills.items()):
            # An orphan that is just ending may be of any launch; it is waited for, not for ever.
            ending = families.get(children.ENDING, []) if kill.waits < MOST_WAITS else []
            over = kill.strike(families.get(name) or ending)
            kernel = self._children.kernels.get(name, "")
            if over and (kill.left or self._children.forget(name)):
                del self._kills[name]
                outlived = {"outlived": kernel} if kernel in families else {}
                if not outlived:
                    self._children.kernels.pop(name, None)
                if len(kill.frozen) > 1:  # a warden may have been among them
                    private_directory.sweep(self._directory)
                self.tell("gone", id=name, left=kill.left, **outlived)

    def end(self) -> None:
        """Kill every descendant until there is none, and remove every file."""
        self._ending = True
        while arrived := self._packets.receive():  # guards still count; nothing is spawned any more
            for packet, fds, cut in arrived:
                self._obey(packet, fds, cut=cut)
        self._give_back()
        kill = TreeKill()
        waited = 0.0
        while self._children.reap():
            families = self._children.families()
            if kill.strike([one for family in families.values() for one in family]) and kill.left:
                break
            self._wait(kill.pause())
            waited += kill.pause()
            if waited > PATIENCE:
                self._tidy()
        self._tidy()
        private_directory.sweep(self._directory)  # a warden may have been below this one

    def _tidy(self) -> None:
        for path, link in self._guarded.items():
            private_directory.remove_guarded(path, link)
        self._guarded.clear()
        private_directory.remove(self._directory.path)


def find_parent(channel: socket.socket, pid: int = 0) -> tuple[int, int | None]:
    """Return moorage's pid and a pidfd of it, None where the kernel has none.

    The socket alone would not do: a child that moorage forked may hold the other end.
    """
    if not pid:
        credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid = int.from_bytes(credentials[:4], sys.byteorder)
    try:
        return pid, os.pidfd_open(pid)
    except OSError:
        return pid, None


def main() -> None:
    """Run the warden on the socket whose descriptor is the first argument."""
    os.chdir("/")
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    try:
        warden = WardenServer(channel)
    except private_directory.NoPlace as error:
        PacketChannel(channel).send("refused", why=error.strerror)
        os._exit(1)
    try:
        warden.run()
    finally:
        warden.end()
    os._exit(0)  # taking the interpreter apart is 5 ms in which moorage waits


if __name__ == "__main__":
    main()
