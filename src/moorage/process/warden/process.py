"""The warden as a process: how it is started and what of it only Linux has."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from moorage.errors import LaunchError, MoorageError, WardenLost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACKET = 1 << 16
"""Longest packet in bytes, as in :mod:`moorage.process.warden.channel`."""
START = 20.0
"""Seconds a warden may take to answer; 0.03 is usual."""


class WardenProcess(msgspec.Struct, frozen=True):
    """The started warden.

    Attributes:
        popen: to reap it by.
        channel: the socket to it.
        errors: a memory file, its stderr.
        pidfd: readable when it has ended; -1 on kernels without.
    """

    popen: subprocess.Popen[bytes]
    channel: socket.socket
    errors: int
    pidfd: int

    def last_words(self) -> str:
        """Return why it ended, as far as it can be told."""
        os.lseek(self.errors, 0, os.SEEK_SET)
        text = os.read(self.errors, 1 << 16).decode(errors="replace").strip()
        return text.splitlines()[-1] if text else "its warden was killed"

    def put(self, packet: bytes, fds: Sequence[int]) -> bool:
        """Send one packet; return False when the socket takes none now.

        Raises:
            BrokenPipeError, ConnectionResetError: the warden is gone.
            OSError: no descriptors are left.
        """
        try:
            if sys.platform == "win32" or not fds:
                self.channel.send(packet)
            else:
                socket.send_fds(self.channel, [packet], list(fds))
        except BlockingIOError:
            return False
        return True

    def may_put(self, seconds: float) -> bool:
        """Wait until the socket takes a packet; return False when it did not in time."""
        if sys.platform != "win32":
            poll = select.poll()  # select(2) knows no descriptor above 1023
            poll.register(self.channel, select.POLLOUT)
            return bool(poll.poll(seconds * 1000))
        else:  # noqa: RET505 - without it mypy sees unreachable code elsewhere
            return False

    def stop(self, patience: float = 2.0) -> None:
        """End it now: by the closed socket, which lets it tidy up, else by force. Blocks for milliseconds.

        Args:
            patience: seconds it gets to tidy up; one that is still coming up may need as long for that.
        """
        self.channel.close()
        self.end(patience)
        self.release()

    def end(self, patience: float) -> None:
        """Reap it, after ``patience`` seconds by force; its socket has been closed or shut down."""
        self.wake()
        try:
            self.popen.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def wake(self) -> None:
        """Let it go on if it was stopped."""
        if sys.platform != "win32":
            self.popen.send_signal(signal.SIGCONT)

    def abandon(self) -> None:
        """Close what is held of it without reaping it: it ends by itself when this process has ended.

        A fork of this process, which is not its parent, does so too.
        """
        if self.popen.returncode is None:
            self.popen.returncode = 0  # else Popen warns that it is still running
        self.release()

    def release(self) -> None:
        """Close what is held of it, once it has been reaped."""
        self.channel.close()
        for fd in (self.errors, self.pidfd):
            if fd >= 0:
                os.close(fd)


def start() -> WardenProcess:
    """Start a warden.

    Raises:
        WardenLost: this interpreter cannot be started again.
        LaunchError: this is not Linux.
    """
    if sys.platform == "linux":
        errors = os.memfd_create("warden")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            popen = subprocess.Popen(
                _command(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            os.close(errors)
            raise WardenLost("the warden cannot be started", why=str(error)) from error
        finally:
            theirs.close()
        return WardenProcess(popen, ours, errors, _pidfd(popen.pid))
    raise LaunchError(
        "no process can be launched here",
        why=f"Launching works on Linux only so far, and this is {sys.platform}",
        do="Use a Linux machine, container or WSL",
    )


@contextmanager
def started_ahead() -> Iterator[WardenProcess | None]:
    """Start a warden before there is a loop to serve; leaving the block stops it unless it has ended by then.

    It takes 30 ms to come up: a program that has as much to import does both at once. Where it cannot be
    started there is None: the launch that needs one says why, and what else is wrong is said first.
    """
    process = None
    with suppress(MoorageError, OSError):
        process = start()
    try:
        yield process
    finally:
        if process is not None and process.popen.returncode is None:
            process.stop(START)


def _command(fd: int) -> list[str]:
    return [sys.executable, "-I", "-S", "-E", str(Path(__file__).with_name("main.py")), str(fd)]


def _pidfd(pid: int) -> int:
    if sys.platform == "linux":
        try:
            return os.pidfd_open(pid)
        except OSError:  # a kernel before 5.3: the socket's end has to do
            pass
    return -1


def payload(text: bytes) -> int:
    """Return a descriptor of a memory file that holds ``text``; the caller closes it.

    Raises:
        OSError: no descriptors or no memory are left.
        LaunchError: this is not Linux.
    """
    if sys.platform == "linux":
        fd = os.memfd_create("launch")
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(text)
        return fd
    raise LaunchError("processes can be launched on Linux only, so far")


async def hello(process: WardenProcess) -> tuple[Path, int]:
    """Wait for the warden's first packet; return its private directory, and how many launches it has had.

    Raises:
        WardenLost: it did not come up.
        LaunchError: there is nowhere to make such a directory.
    """
    try:
        async with asyncio.timeout(START):
            packet = await asyncio.get_running_loop().sock_recv(process.channel, PACKET)
    except (ConnectionResetError, TimeoutError):
        packet = b""
    if not packet:
        raise WardenLost("the warden did not come up", why=process.last_words())
    message = json.loads(packet)
    if message["tell"] == "refused":
        raise LaunchError(
            "no private directory can be made",
            why=message["why"],
            do="Make room, or set TMPDIR to a short path of a folder that no other user may write to",
        )
    return Path(message["directory"]), int(message.get("count", 0))
