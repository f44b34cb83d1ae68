"""One process: what is asked for, what comes back, how it ended.

A launcher starts one process somewhere and yields a handle; leaving the block ends the process and
returns only when it and everything it started are gone.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NewType, Protocol

from moorage.exit_status import ExitStatus as ExitStatus  # noqa: PLC0414 - part of what a handle says

if TYPE_CHECKING:
    from moorage.process.options import ProcessOptions

ProcessId = NewType("ProcessId", str)
"""Names one launch; unlike a pid it is never used again."""
Isolate = Literal["none", "net"]
"""What a process has for itself: nothing, or a network."""
Fork = Literal["auto", "made", True, False]
"""Whether to fork a kernel from a template: always where it can be done, never, from the second launch alike
on, or (``made``) where a template has proven itself already, for a caller that would not wait for one."""

if sys.platform == "win32":
    KILL = signal.SIGTERM  # os.kill ends a process at once by it, there is no other
else:
    KILL = signal.SIGKILL
"""The signal that nothing can refuse."""


@dataclass(frozen=True)
class LaunchSpec:
    """One process to start.

    Attributes:
        argv: program and arguments; the program is looked up on the *child's* PATH.
        cwd: absolute working directory.
        env: the whole environment of the child. Never shown in a repr: it may hold secrets.
        keep_output: how many bytes of stdout and of stderr to keep (the newest).
        kernel: names the kernel whose process this is, through all its restarts; empty for none. A child
            with ``MOORAGE_OUTLIVES=restart`` in its environment belongs to it, not to the process.
        listens: TCP ports at which it is to listen, as far as they are known before it starts. A place that
            has to lead clients to them does so.
    """

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(repr=False)
    keep_output: int = 64 * 1024
    kernel: str = ""
    listens: tuple[int, ...] = ()


@dataclass(frozen=True)
class LocalSpec(LaunchSpec):
    """One process to start on this machine, with what only this machine can give it.

    Attributes:
        stdin: a file descriptor the child gets as its standard input; None means /dev/null.
            It is duplicated: the caller closes its own.
        echo: descriptors that also get what it writes to stdout and to stderr; None for none.
            They are duplicated, too.
        isolate: ``net`` for a network namespace of its own, see :mod:`moorage.process.netns.enter`.
        process: user, group, limits and more where they differ from the launcher's; None for its own.
        fork: whether to fork it, where that is not as the launcher has it; None for as the launcher has it.
    """

    stdin: int | None = None
    echo: tuple[int | None, int | None] = (None, None)
    isolate: Isolate = "none"
    process: ProcessOptions | None = None
    fork: Fork | None = None


def local(spec: LaunchSpec) -> LocalSpec:
    """Return ``spec`` with nothing added to it, or as it is where it is a :class:`LocalSpec` already."""
    return spec if isinstance(spec, LocalSpec) else LocalSpec(**vars(spec))


class Handle(Protocol):
    """One started process."""

    @property
    def id(self) -> ProcessId:
        """Name of this launch."""
        ...

    @property
    def pid(self) -> int:
        """Process id on the machine where it runs."""
        ...

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, or None while it lives."""
        ...

    async def wait(self) -> ExitStatus:
        """Wait for the end. Any number of tasks may wait; cancelling one disturbs no other.

        Raises:
            WardenLost: the process that would know is gone.
        """
        ...

    def send_signal(self, signum: int) -> None:
        """Send a signal to the process and its process group; nothing happens if it has ended."""
        ...

    async def kill(self) -> ExitStatus:
        """SIGKILL the process and everything it started, and wait until all of it is gone."""
        ...

    def output(self) -> str:
        """Return the newest part of stdout and stderr, in order of arrival, decoded with replacement."""
        ...

    def memory(self) -> int | None:
        """Return the resident memory of the process and its descendants now, in bytes."""
        ...


class Launcher(Protocol):
    """Starts processes in one place."""

    def launch(self, spec: LaunchSpec) -> AbstractAsyncContextManager[Handle]:
        """Start ``spec``; leaving the block kills what is left of it.

        Raises:
            LaunchError: the program or the working directory does not exist or cannot be used.
            WardenLost: the process that would start it is gone.
        """
        ...
