"""moorage's end of the warden: starts it, speaks to it, outlives it.

The packets are described in :mod:`moorage.process.warden.main`.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.errors import MoorageError, WardenLost
from moorage.process.base import LocalSpec, ProcessId
from moorage.process.warden.endpoint import Link
from moorage.process.warden.launched import ChildLaunch
from moorage.process.warden.process import WardenProcess, hello, payload, start

if sys.platform == "linux":
    from moorage.process import procfs
    from moorage.process.warden import private_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MOST_GUARDED = 10_000


class Warden:
    """One warden and the link to it; made by ``async with Warden.open() as warden``.

    All methods belong to the thread of the loop it was opened in, or that its link is attached to since.

    Attributes:
        link: the socket to it.
    """

    def __init__(self, process: WardenProcess, directory: Path, count: int = 0) -> None:
        self.link = Link(process, self._told, self._died, self._tidy)
        self._directory = directory
        self._launches: dict[ProcessId, ChildLaunch] = {}
        self._count = count
        self._guarded: dict[Path, str | None] = {}  # with what a symbolic link says
        self._held = b""
        self._lock = -1
        self._outlived: set[ProcessId] = set()
        self.link.attach()

    @staticmethod
    @asynccontextmanager
    async def open(process: WardenProcess | None = None) -> AsyncIterator[Warden]:
        """Start a warden; leaving the block returns when it and everything it launched is gone.

        Args:
            process: one that was started ahead, and belongs to this block from now on.

        Cancelling while the block is left still waits for that, at most
        :data:`~moorage.process.warden.endpoint.END` seconds.

        Raises:
            WardenLost: it did not come up.
            LaunchError: this is not Linux.
        """
        warden = await begin(process)
        try:
            yield warden
        finally:
            await warden.link.close()

    @property
    def directory(self) -> Path:
        """Private directory (0700, short path) that goes when the warden ends."""
        return self._directory

    @property
    def pid(self) -> int:
        """Process id of the warden."""
        return self.link.process.popen.pid

    @property
    def idle(self) -> bool:
        """Whether nothing is in its charge but templates, which may wait for the next launch."""
        return not (self._guarded or self._held or any(not one.lasting for one in self._launches.values()))

    def guard(self, path: Path, link: str | None = None) -> None:
        """Have a file, link or directory deleted should moorage die before :meth:`unguard`.

        It is certain when this returns, so call it before the file is made.

        Args:
            path: its name, which should be one that nothing else has.
            link: where the name is one that a user may take, too: what the symbolic link there says. Anything
                else in its place is not deleted.

        Raises:
            WardenLost: the warden is gone.
            MoorageError: ten thousand are guarded already.
        """
        path = path.absolute()
        if len(self._guarded) >= MOST_GUARDED:
            raise MoorageError(
                f"{path} cannot be guarded", why=f"{MOST_GUARDED} temporary files are guarded already"
            )
        more = {} if link is None else {"link": _text(link)}
        self.link.send({"do": "guard", "path": _text(os.fspath(path)), **more})
        self._guarded[path] = link
        self.link.flush()

    def unguard(self, path: Path) -> None:
        """Let a guarded path live on; nothing happens if the warden is gone."""
        path = path.absolute()
        self._guarded.pop(path, None)
        with suppress(WardenLost):
            self.link.send({"do": "unguard", "path": _text(os.fspath(path))})
            self.link.flush()

    def tokens(self, held: bytes, descriptor: int) -> None:
        """Have ``held`` written to ``descriptor`` should moorage die; replaces what was said before.

        It is certain when this returns. The descriptor is duplicated: the caller closes its own.

        Raises:
            WardenLost: the warden is gone.
            OSError: no descriptors are left.
        """
        self.link.send({"do": "tokens", "held": held.decode("latin-1")}, [descriptor])
        self._held = held
        self.link.flush()

    def spawn(self, spec: LocalSpec, stdout: int, stderr: int, on_exit: Callable[[], None]) -> ChildLaunch:
        """Ask for a process; the answer comes in what is returned.

        Args:
            spec: what to start.
            stdout: descriptor for its standard output; the caller closes its own.
            stderr: likewise.
            on_exit: called when it has ended, before anything that waits for it wakes.

        Raises:
            WardenLost: the warden is gone.
            OSError: no descriptors are left, or those to be passed on are not open.
            UsageError: its user, group or limits name what there is not.
        """
        launched = self._launch(on_exit)
        text = described(spec)
        passed = [] if text["process"] is None else text["process"]["pass_fds"]
        whole = payload(json.dumps(text).encode())
        try:
            more = [*([] if spec.stdin is None else [spec.stdin]), *passed]
            order = {"do": "spawn", "id": launched.id, "stdin": spec.stdin is not None, "passed": len(passed)}
            order["kernel"] = spec.kernel
            self.link.send(order, [whole, stdout, stderr, *more])
        finally:
            os.close(whole)
        self._launches[launched.id] = launched
        return launched

    def expect(self, report: int, on_exit: Callable[[], None], *, kernel: str = "") -> ChildLaunch:
        """Take charge of a process that a template below the warden is about to fork.

        Args:
            report: read end of the pipe through which it says its process id; the caller closes its own.
            on_exit: as for :meth:`spawn`.
            kernel: as in :class:`~moorage.process.base.LocalSpec`.

        Raises:
            WardenLost, OSError: as from :meth:`spawn`.
        """
        launched = self._launch(on_exit)
        self.link.send({"do": "expect", "id": launched.id, "kernel": kernel}, [report])
        self._launches[launched.id] = launched
        return launched

    def _launch(self, on_exit: Callable[[], None]) -> ChildLaunch:
        self._count += 1
        # Always of one length: a fork's name has to fit where its template's stood.
        return ChildLaunch(ProcessId(f"{self._directory.name}.{self._count:06d}"), on_exit)

    def signal(self, name: ProcessId, signum: int) -> None:
        """Signal a process and its group; nothing happens if it has ended."""
        with suppress(WardenLost):  # then it has ended too
            self.link.send({"do": "signal", "id": name, "signum": int(signum)})

    def kill(self, name: ProcessId) -> ChildLaunch | None:
        """SIGKILL a process and all it started, or what has outlived restarts of a kernel.

        Args:
            name: the process's, or the kernel's.

        Returns:
            What was sent for, or None where there is nothing of that name; its ``gone`` becomes true when
            nothing of it is left.
        """
        if name in self._outlived:
            self._outlived.discard(name)
            self._launches[name] = ChildLaunch(name, lambda: None)
        if name in self._launches:
            with suppress(WardenLost):
                self.link.send({"do": "kill", "id": name})
        return self._launches.get(name)

    def _told(self, message: dict[str, Any]) -> None:
        name = message.get("id")
        launched = self._launches.get(name) if name else None
        if launched is None:
            return
        if message["tell"] in ("gone", "failed"):
            del self._launches[launched.id]
        if message.get("outlived"):
            self._outlived.add(ProcessId(message["outlived"]))
        launched.told(message)

    def _died(self, why: str) -> None:
        if why and sys.platform == "linux":
            # The next warden deletes what nothing holds, and the blocks that had this one go on.
            self._lock = private_directory.hold(str(self._directory))
            # Its children died with it, theirs may not have.
            procfs.kill_marked([self._directory.name])
        for launched in list(self._launches.values()):
            launched.lose(why or "its warden has ended")
        self._launches.clear()

    def _tidy(self) -> None:
        """Delete the files of a warden that has ended; they are gone already unless it was killed."""
        if sys.platform == "linux":
            private_directory.remove(str(self._directory))
            for path, link in self._guarded.items():
                private_directory.remove_guarded(
                    os.fsencode(path), None if link is None else os.fsencode(link)
                )
            if self._lock >= 0:
                os.close(self._lock)


async def begin(
    process: WardenProcess | None = None, made: Callable[[WardenProcess, Path, int], Warden] = Warden
) -> Warden:
    """Start a warden that lives until its link is closed.

    Arguments and errors are those of :meth:`Warden.open`; ``made`` makes the object.
    """
    process = process or start()
    try:
        directory, count = await hello(process)
    except BaseException:
        process.stop()
        raise
    return made(process, directory, count)


async def end_outliving(warden: Warden, kernel: str) -> None:
    """SIGKILL what has outlived restarts of a kernel, and wait until all of it is gone.

    Args:
        warden: the kernel's.
        kernel: as in :class:`~moorage.process.base.LocalSpec`; it is started no more.

    Cancelling stops the waiting, not the killing.
    """
    if (what := warden.kill(ProcessId(kernel))) is not None:
        with suppress(WardenLost):  # then it is gone, too
            await what.until(lambda: what.gone)


def described(spec: LocalSpec, **more: str) -> dict[str, Any]:
    """Return what a payload says: arguments, directory, environment with ``more`` variables, user, limits."""
    env = {_text(key): _text(value) for key, value in spec.env.items()}
    argv = [_text(part) for part in spec.argv]
    process = None if spec.process is None else spec.process.to_dict()
    text = {"argv": argv, "cwd": _text(spec.cwd), "env": env | more}
    return {**text, "isolate": spec.isolate, "process": process}


def _text(path: str) -> str:
    """Return bytes that are no text in a form that both ends read alike, whatever their locale."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")
