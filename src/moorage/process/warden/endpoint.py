"""The socket to a warden, and the loop that reads it: one loop at a time, none while the warden is unused.

A warden that does not answer is taken for dead: it is killed, and everything that waits for it hears so.
Why a link changes loops stands in docs/design/0013-lasting-warden.md.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from moorage.errors import WardenLost
from moorage.process.warden.launched import outlast
from moorage.process.warden.process import PACKET, WardenProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger("moorage.launch")

END = 10.0
"""Seconds a warden may take to kill everything before it is killed itself."""
BEAT = 1.5
"""Seconds between two questions whether the warden still answers."""
MOST_UNANSWERED = 3
"""Questions in succession without an answer after which a warden counts as dead. They are counted, and not
the time, because this process may have been stopped meanwhile together with its warden."""


class Follower(Protocol):
    """What reads descriptors of its own in the link's loop, until the warden ends or is gone."""

    def watch(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Read in that loop from now on, and in no other; None: in none."""
        ...

    def abandon(self) -> None:
        """Close the descriptors, which no loop reads any more; called again, and in a fork too."""
        ...


class Link:
    """Sends packets to a warden and hands on what it says.

    Args:
        process: the warden.
        told: takes each of its packets.
        died: called once when the warden is gone, with the reason unless it was to end.
        tidy: called when it has been reaped.

    Attributes:
        process: the warden.
        lost: why it is gone although it should not be, or an empty string.
    """

    def __init__(
        self,
        process: WardenProcess,
        told: Callable[[dict[str, Any]], None],
        died: Callable[[str], None],
        tidy: Callable[[], None],
    ) -> None:
        self.process = process
        self._hear = told
        self._tell_end = died
        self._tidy = tidy
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: list[tuple[dict[str, Any], list[int]]] = []
        self._followers: list[Follower] = []
        self._closing = False
        self._dead = False
        self._unanswered = 0
        self._owner = os.getpid()
        self.lost = ""

    @property
    def ours(self) -> bool:
        """Whether the warden is this process's, and not that of one this was forked from."""
        return self._owner == os.getpid()

    def follow(self, follower: Follower) -> None:
        """Have something else read in whatever loop reads this link."""
        self._followers.append(follower)
        follower.watch(self._loop)

    def attach(self) -> None:
        """Read in the running loop from now on."""
        self._loop = loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._heard = asyncio.Event()
        self._unanswered = 0
        loop.add_reader(self.process.channel, self._receive)
        if self.process.pidfd >= 0:
            loop.add_reader(self.process.pidfd, self._die)
        if self._queue:
            loop.add_writer(self.process.channel, self._flush)
        self._timer = loop.call_later(BEAT, self._beat)
        for follower in self._followers:
            follower.watch(loop)

    def detach(self) -> None:
        """Read in no loop any more, until :meth:`attach`."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        self._timer.cancel()
        loop.remove_reader(self.process.channel)
        loop.remove_writer(self.process.channel)
        if self.process.pidfd >= 0:
            loop.remove_reader(self.process.pidfd)
        for follower in self._followers:
            follower.watch(None)

    async def answers(self, seconds: float) -> bool:
        """Ask the warden whether it is there; return False when it does not say so in so many seconds."""
        self._heard.clear()
        self.send({"do": "ping"})
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        return not self._dead

    def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a packet now, or as soon as the warden takes it; descriptors are duplicated until then.

        Raises:
            WardenLost: the warden is gone.
            OSError: no descriptors are left.
        """
        if not self._dead and not self._closing:
            if not self._queue and self._put(message, fds):
                return
            if not self._dead:
                if not self._queue and self._loop is not None:
                    self._loop.add_writer(self.process.channel, self._flush)
                self._queue.append((message, [os.dup(fd) for fd in fds]))
                return
        raise WardenLost("the warden takes no more orders", why=self.lost or "its block has been left")

    def flush(self) -> None:
        """Return when everything is in the socket.

        Raises:
            WardenLost: the warden takes nothing any more.
        """
        while self._queue and self.process.may_put(END):
            self._flush()
        if self._queue:
            self._give_up()
        if self.lost:
            raise WardenLost("the warden is gone", why=self.lost)

    async def close(self) -> None:
        """End the warden; returns when it is gone, or was killed because that took :data:`END` seconds.

        In a fork of the process that owns it nothing happens. Cancelling is delivered at the end.
        """
        if not self.ours:
            return
        cancelled = None
        if not self._dead:
            self._flush()
            self._begin_end()
            done, cancelled = await outlast(self._ended.wait, END)
            if not done:
                self.process.popen.kill()
                _, again = await outlast(self._ended.wait, END)
                cancelled = again or cancelled
        self.process.popen.kill()  # does nothing unless it hangs even now
        self.process.popen.wait()
        self._die()
        self._release()
        if cancelled is not None:
            raise cancelled

    def stop(self) -> None:
        """End the warden of a link that no loop reads; blocks until it is gone, or :data:`END` seconds.

        It is killed then.
        """
        self._begin_end()
        self.process.end(END)
        self._die()
        self._release()

    def abandon(self) -> None:
        """Close what is held of a warden, and wait for nothing: this process ends, or is a fork."""
        self.process.abandon()
        for follower in self._followers:
            follower.abandon()

    def _begin_end(self) -> None:
        self._closing = True
        self._let_go()
        with suppress(OSError):  # it may be gone
            self.process.channel.shutdown(socket.SHUT_WR)

    def _let_go(self) -> None:
        """Have followers know that what the warden launched ends with it, and not by itself."""
        for follower in self._followers:
            follower.watch(None)
            follower.abandon()

    def _release(self) -> None:
        self.process.release()
        self._let_go()
        self._tidy()

    def _put(self, message: dict[str, Any], fds: Sequence[int]) -> bool:
        try:
            return self.process.put(json.dumps(message).encode(), fds)
        except (BrokenPipeError, ConnectionResetError):
            self._die()
            return False

    def _flush(self) -> None:
        while self._queue:
            message, fds = self._queue[0]
            try:
                if not self._put(message, fds):
                    return
            except OSError as error:  # too many descriptors on their way: only a spawn has any
                number = error.errno or errno.EMFILE
                failed = {"tell": "failed", "id": message.get("id"), "stage": "descriptors", "errno": number}
                self._hear(failed)
            del self._queue[0]
            _close_all(fds)
        if self._loop is not None:
            self._loop.remove_writer(self.process.channel)

    def _receive(self) -> None:
        for _ in range(64):  # then it is the turn of other tasks
            if not self._receive_one():
                return

    def _receive_one(self) -> bool:
        try:
            packet = self.process.channel.recv(PACKET)
        except BlockingIOError:
            return False
        except ConnectionResetError:  # it ended with packets of ours unread; its own still wait
            return True
        if packet:
            self._unanswered = 0
            message = json.loads(packet)
            if message["tell"] == "error":
                _log.error("the warden did not understand: %s", message["text"])
            elif message["tell"] != "pong":
                self._hear(message)
            if self._loop is not None:
                self._heard.set()
            return True
        if self._loop is not None:
            self._loop.remove_reader(self.process.channel)
        if self.process.pidfd < 0 and not self._dead:
            self.process.popen.wait()  # it closes the socket by ending
            self._die()
        return False

    def _beat(self) -> None:
        """Ask whether the warden is there; wake one that was stopped, give up one that stays silent."""
        self._receive()  # an answer may wait there: this loop may have been busy
        if self._dead or self._closing or self._loop is None:
            return
        if self._unanswered >= MOST_UNANSWERED:
            self._give_up()
            return
        if self._unanswered:
            self.process.wake()
        self._unanswered += 1
        with suppress(WardenLost):
            self.send({"do": "ping"})
        self._timer = self._loop.call_later(BEAT, self._beat)

    def _give_up(self) -> None:
        self.process.popen.kill()
        self._die("it did not answer any more and was killed")

    def _die(self, why: str = "") -> None:
        """The warden has ended: as it should, or else all that wait are told."""
        if self._dead:
            return
        self._dead = True
        self._let_go()
        while self._receive_one():  # what it still said
            pass
        for _, fds in self._queue:
            _close_all(fds)
        self._queue.clear()
        if self._loop is not None:
            self._timer.cancel()
            self._loop.remove_reader(self.process.channel)
            self._loop.remove_writer(self.process.channel)
            if self.process.pidfd >= 0:
                self._loop.remove_reader(self.process.pidfd)
            self._heard.set()
            self._ended.set()
        if not self._closing or self.process.popen.poll() != 0:
            self.lost = why or self.process.last_words()
        self._tell_end(self.lost)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
