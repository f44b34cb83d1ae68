"""One template of servers, as the service sees it: started, asked, listened to, reaped.

What it does itself is described in :mod:`moorage.temp.template.main`.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.exit_status import ExitStatus
from moorage.tasks import in_thread, result_of
from moorage.temp.template.preloaded import HUB, NO_HOME, TOLD_BY_HUBS

log = logging.getLogger("moorage.temp")

IMPORTS = 60.0
"""Seconds that a template may take for its imports; 2 are usual."""
RETRY = 60.0
"""Seconds after which a template that failed may be tried again."""
_OUTPUT = 16 * 1024


class ServerTemplate:
    """One template process.

    Args:
        server: module of its servers.
        env: of the launch that wants it.
        patience: seconds that it may be silent when it was asked for something.

    Attributes:
        why: why no server is forked from it any more, in a clause; empty while it lives.
        failed: whether it ended before it was ready, as another would.
    """

    def __init__(self, server: str, env: Mapping[str, str], patience: float) -> None:
        """Start it.

        Raises:
            OSError: it cannot be started.
        """
        self.why = ""
        self.failed = False
        self._failed_at = 0.0
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[str] = self._loop.create_future()
        self._reaped: asyncio.Future[int] | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has been reaped
        self._channel, theirs = _socketpair()
        self._channel.setblocking(False)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "moorage.temp.template.main", str(os.getpid()), server],
                stdin=theirs.fileno(),
                stdout=self._output,
                stderr=self._output,
                cwd="/",
                env={**env, "HOME": NO_HOME, **(TOLD_BY_HUBS if server == HUB else {})},
                start_new_session=True,
            )
        except OSError:
            self._channel.close()
            self._output.close()
            raise
        finally:
            theirs.close()
        self._loop.add_reader(self._channel.fileno(), self._hear)
        self._slow = self._loop.call_later(IMPORTS, self.give_up, f"it was not ready after {IMPORTS:g} s")

    @property
    def alive(self) -> bool:
        """Whether it can be asked, now or when it is ready."""
        return self._reaped is None

    @property
    def reaped(self) -> bool:
        """Whether nothing is left of it."""
        return self._reaped is not None and self._reaped.done()

    @property
    def hopeless(self) -> bool:
        """Whether it failed such a short time ago that another one would, too."""
        return self.failed and time.monotonic() < self._failed_at + RETRY

    @property
    def pid(self) -> int:
        """Its process id."""
        pid: int = self._process.pid
        return pid

    async def ready(self) -> str:
        """Wait until it has done its imports; return why no server can be forked from it, or ""."""
        return await result_of(self._ready)

    def fork(self, folder: Path, link: int, lock: int) -> Callable[[], object]:
        """Ask for a keeper; see :data:`moorage.keeper.start.KeeperStart`."""
        socket.send_fds(self._channel, [os.fsencode(folder)], [lock, link])
        return lambda: None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Kill it where the block takes too long: all that it was asked for is lost to it then."""
        timer = self._loop.call_later(
            self._patience, self.give_up, f"it forked nothing in {self._patience:g} s"
        )
        try:
            yield
        finally:
            timer.cancel()

    def give_up(self, why: str) -> None:
        """Kill it.

        Args:
            why: a clause.
        """
        self._end(why)

    async def aclose(self) -> None:
        """End it, and return when it has been reaped."""
        self._end("it was let go")
        await self.gone()

    async def gone(self) -> None:
        """Where it is over, wait until nothing is left of it, nor of what it was asked for and never took."""
        while self._reaped is not None and not self._reaped.done():
            await asyncio.wait([self._reaped])

    def _hear(self) -> None:
        try:
            packet = self._channel.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # it ended with packets of ours unread
            packet = b""
        told = json.loads(packet) if packet else {}
        if "ready" in told:
            self._slow.cancel()
            self._ready.set_result("")
            log.info("Servers are forked from template %d", self.pid)
        elif "short" in told:
            log.warning("Template %d could not fork: %s", self.pid, os.strerror(told["short"]))
        elif "stale" in told:
            self._end("what is installed has changed")
        elif "refused" in told:
            self._end(told["refused"], logging.WARNING)
        else:
            self._end()

    def _end(self, why: str = "", level: int = logging.INFO) -> None:
        """Kill it, and take note that it is over.

        Args:
            why: a clause; empty where it ended by itself.
            level: of what is logged.
        """
        if self._reaped is not None:
            return
        self.why = why
        if not self._ready.done():
            self.failed, self._failed_at = True, time.monotonic()
        self._slow.cancel()
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._reaped = in_thread(self._process.wait, name="reap a template")
        self._reaped.add_done_callback(lambda reaped: self._told(reaped.result(), level))

    def _told(self, code: int, level: int) -> None:
        """Say how it ended, to the log and to what waits for it."""
        words = self._last_words()
        self._output.close()
        if not self.why:
            level = logging.WARNING if self.failed else logging.INFO
            how = (ExitStatus(code) if code >= 0 else ExitStatus(signal=-code)).describe()
            self.why = f"its template ended ({how})" + (f": {words}" if words else "")
        log.log(level, "No server is forked from template %d any more: %s", self.pid, self.why)
        if not self._ready.done():
            self._ready.set_result(self.why)

    def _last_words(self) -> str:
        self._output.seek(max(0, self._output.seek(0, os.SEEK_END) - _OUTPUT))
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _socketpair() -> tuple[socket.socket, socket.socket]:
    if sys.platform == "linux":
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    raise OSError("templates need Linux")
