"""``attach``: a kernel that another program started, left running when the block ends."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from moorage.discovery.kernelspec import KernelSpec, find
from moorage.errors import (
    DeadlineExceeded,
    KernelDied,
    KernelTypeNotFound,
    MoorageError,
    ProtocolError,
    UsageError,
)
from moorage.kernel.client import Client
from moorage.kernel.found import Seen, WatchedKernel, watched
from moorage.kernel.quirks import (
    ends_by_shell,
    interrupt_mode,
    preparation_for_another,
    published_elsewhere,
)
from moorage.kernel.standstill import advice
from moorage.kernel.supervised import SupervisedKernel
from moorage.process.base import ExitStatus
from moorage.regular import read_regular
from moorage.tasks import beside
from moorage.wire import messages
from moorage.wire.connection import ConnectionInfo
from moorage.wire.messages import Channel

if sys.platform == "linux":
    from moorage.process import procfs, standstill
    from moorage.process.listening import at_path, at_port
    from moorage.process.observed import named_by

# Seconds a kernel has for its answer on shell before it is asked on control too: it may be computing.
_BUSY = 0.25
# Seconds until a file without a kernel counts as left behind: a process that is just being started has no
# command line yet by which it could be found.
_NEWBORN = 0.5
# How long an ipykernel at work for others may take to become idle (s) before it is asked on control to end,
# where it may hang: the answer to another client's question has no more to it than that.
_SETTLES = 0.25


class AttachedKernel(SupervisedKernel):
    """A running kernel that belongs to another program.

    Attributes:
        process: what listens at its address; None where that is not on this machine or not to be seen.
    """

    def __init__(self, spec: KernelSpec, path: Path, found: WatchedKernel, info: dict[str, Any]) -> None:
        """Made by :func:`attach`; ``info`` is the kernel's ``kernel_info_reply``."""
        super().__init__(spec, path, found.supervisor, found.client, info)
        self.process = found.process
        own = found.supervisor.clients.activity.own_sessions
        found.client.published = published_elsewhere(spec, info, own)

    def interrupt(self) -> None:
        """Interrupt what runs, of whichever client. Returns at once.

        By signal where the kernel's own process is on this machine and may be signalled, unless its
        kernelspec wants a message; else by message on control, which not every kernel understands. Where
        nothing runs nothing is sent, as with an owned kernel.
        """
        if not (self.client.busy or self.supervisor.clients.activity.busy):
            return
        process = self.process
        if (
            process is not None
            and process.is_named
            and interrupt_mode(self.spec, self.info) == "signal"
            # What a kernel without a kernelspec wants is not known: SIGINT ends one that does not expect it.
            and (self.spec.argv or _catches(process.pid, signal.SIGINT))
            and process.try_signal(signal.SIGINT)
        ):
            return
        self.client.request("control", messages.interrupt_request())

    async def shutdown(self, *, grace: float = 5.0, at_once: bool = False) -> ExitStatus:
        """End the kernel for all its clients: ask, then SIGTERM, then SIGKILL where it is on this machine.

        Args:
            grace: seconds to wait after each of the first two.
            at_once: kill it without asking.

        Returns:
            How it ended, as far as that can be known. Cancelling stops the wait, not the ladder, unless
            the block is left too.

        Raises:
            DeadlineExceeded: it was asked in vain, and its process is out of reach.
            UsageError: it is to be killed, and its process is out of reach.
        """
        within_reach = self.process is not None and self.process.is_named
        if at_once and not within_reach:
            raise UsageError(
                "this kernel cannot be killed from here",
                why="Its process is not to be seen on this machine",
                do="Ask it to end: shutdown() without at_once",
            )
        if not at_once:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLES):
                    await self.supervisor.clients.activity.settled()
        self.supervisor.stop(grace=grace, at_once=at_once)
        try:
            async with asyncio.timeout(None if within_reach else grace):
                return await self.supervisor.wait()
        except KernelDied:  # how is not known
            return ExitStatus()
        except TimeoutError:
            raise DeadlineExceeded(
                f"the kernel did not end within {grace:g} s of being asked to",
                why="Its process is not to be seen on this machine, so nothing more can be done from here",
            ) from None

    async def restart(self, *, timeout: float = 60.0) -> NoReturn:  # noqa: ASYNC109 - as a launched kernel's
        """Refuse: the program that started a kernel restarts it.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "an attached kernel cannot be restarted from here",
            why=f"The program that started it would not know; within {timeout:g} s or ever",
            do="Restart it there, or launch one here",
        )


@dataclass(frozen=True)
class _Found:
    """What was found of a kernel before a word was said.

    Attributes:
        pid: of the process that listens at its address.
        starting: the process that was started with its file, where none listens yet.
        gone: its address is on this machine, none listens there, and none is about to.
    """

    pid: int | None = None
    starting: int | None = None
    gone: bool = False


@asynccontextmanager
async def attach(
    where: str | Path,
    *,
    timeout: float = 60.0,  # noqa: ASYNC109 - one deadline for all steps
) -> AsyncIterator[AttachedKernel]:
    """Attach to a kernel that runs already.

    Args:
        where: its connection file, or its id or pid as ``moorage kernels ps`` shows them, or the beginning
            of its id, or ``running/ID``.
        timeout: seconds until the kernel must have answered.

    Yields:
        The kernel, proven to hear and to be heard. Leaving the block leaves it running.

    Raises:
        KernelTypeNotFound: there is no such kernel, or several.
        KernelDied: the file is there and its kernel is not, or it ended before it answered.
        DeadlineExceeded: it did not answer in time.
        UsageError: an URL.

    Cancelling detaches.
    """
    path, info = await asyncio.to_thread(_resolved, where)
    pid: int | None = None
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(timeout):
                found = await asyncio.to_thread(_look, info, path)
                if found.starting is not None:
                    async with _speaking(info, path, found.starting):
                        pass  # then it listens
                    found = await asyncio.to_thread(_look, info, path)
                if found.gone:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_NEWBORN), _speaking(info, path, None):
                            pass
                    found = await asyncio.to_thread(_look, info, path)
                if found.gone:
                    raise _gone(path)
                # The process that was started with the file, if it was passed over though it has answered.
                pid = found.pid or found.starting
                kernel = await stack.enter_async_context(_speaking(info, path, pid))
        except TimeoutError:
            why, do = _silence(pid)
            raise DeadlineExceeded(
                f"the kernel of {path} did not answer within {timeout:g} s", why=why, do=do
            ) from None
        yield kernel


@asynccontextmanager
async def _speaking(info: ConnectionInfo, path: Path, pid: int | None) -> AsyncIterator[AttachedKernel]:
    async with watched(info, pid, path) as found:
        told, busy = await _greeted(found.client)
        if busy:
            found.supervisor.clients.activity.begin_unknown()
        spec = _spec(info, told)
        found.supervisor.answer(ends_by_shell=ends_by_shell(spec, told))
        if _is_moored(found.process) and (code := preparation_for_another(told)):
            message = messages.execute_request(code, silent=True, store_history=False)
            found.client.request("shell", message)  # before all that is asked of it here
        yield AttachedKernel(spec, path, found, told)


async def _greeted(client: Client) -> tuple[dict[str, Any], bool]:
    """Wait for the kernel's answer; return it, and True when the kernel computes something meanwhile."""
    first: asyncio.Future[tuple[dict[str, Any], bool]] = asyncio.get_running_loop().create_future()

    async def ask(channel: Channel) -> None:
        try:
            told = await client.ready(channel=channel)
        except MoorageError as error:
            if not first.done():
                first.set_exception(error)
        else:
            if not first.done():
                first.set_result((told, channel == "control"))

    async with beside(ask("shell"), name="ask on shell"):
        await asyncio.wait([first], timeout=_BUSY)
        if first.done():
            return first.result()
        async with beside(ask("control"), name="ask on control"):
            return await first


def _resolved(where: str | Path) -> tuple[Path, ConnectionInfo]:
    if isinstance(where, str) and where.startswith(("http://", "https://")):
        raise UsageError(
            "this version of moorage cannot attach to a kernel behind a URL",
            do="Give the connection file of a kernel of this machine",
        )
    path = Path(where).expanduser()
    if not path.is_file():
        if isinstance(where, Path) or path.is_absolute():
            raise KernelTypeNotFound(f"there is no connection file {path}")
        from moorage.discovery import running  # noqa: PLC0415 - a file needs no search

        found = running.find(where)
        return found.connection_file, found.info
    try:
        content = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError) as error:
        raise _no_connection_file(path, str(error)) from error
    if not isinstance(content, dict):
        raise _no_connection_file(path, "It holds no object")
    try:
        return path.absolute(), ConnectionInfo.from_dict(content)
    except ProtocolError as error:
        raise _no_connection_file(path, f"{error.what}: {error.why}") from error


def _no_connection_file(path: Path, why: str) -> KernelTypeNotFound:
    return KernelTypeNotFound(f"{path} is no connection file of a running kernel", why=why)


def _look(info: ConnectionInfo, path: Path) -> _Found:
    if sys.platform == "linux":
        named = named_by(path)
        if info.transport == "ipc":
            listener = at_path(info.url("shell").removeprefix("ipc://"))
        else:
            listener = at_port("localhost" if info.ip == "*" else info.ip, info.shell_port, named)
        if listener.listening or not listener.here:
            return _Found(pid=listener.pid)
        return _Found(starting=named[0]) if named else _Found(gone=True)
    else:  # noqa: RET505 - mypy takes what stands behind a platform's branch for unreachable
        return _Found()


def _silence(pid: int | None) -> tuple[str, str]:
    """Return why a kernel may not answer, and what to do about it."""
    if sys.platform == "linux" and pid is not None and (why := standstill.look(pid)):
        return f"Its process {pid} is {why}", advice(why, pid)
    return "It may be busy with something, or out of reach", ""


def _gone(path: Path) -> KernelDied:
    return KernelDied(
        f"the kernel of {path} is gone",
        why="No process listens at its address, and no process was started with this file",
        do="The file was left behind: delete it",
    )


def _is_moored(process: Seen | None) -> bool:
    """Tell whether a process descends from a launch of moorage's, as far as that is to be seen."""
    return sys.platform == "linux" and process is not None and bool(procfs.marker(process.pid))


def _catches(pid: int, signum: int) -> bool:
    """Tell whether a process has a handler of its own for a signal."""
    return sys.platform == "linux" and standstill.catches(pid, signum)


def _spec(info: ConnectionInfo, told: dict[str, Any]) -> KernelSpec:
    """Return the kernelspec its file names, else what the kernel itself says; the command is empty then."""
    if info.kernel_name:
        try:
            return find(info.kernel_name)
        except KernelTypeNotFound:
            pass  # it was started elsewhere
    language = told.get("language_info")
    name = language.get("name") if isinstance(language, dict) else ""
    called = info.kernel_name or "unknown"
    return KernelSpec(called, (), called, str(name or "").lower())
