"""``moorage kernels stop ID``: ends a kernel of this user, whichever program started it."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from moorage.cli.stdio import json_text

if TYPE_CHECKING:
    from moorage.cli.parser import Parser
    from moorage.discovery.running import RunningKernel
    from moorage.errors import DeadlineExceeded
    from moorage.exit_status import ExitStatus

# Seconds until a kernel must have said that it is there, before it is signalled without being asked.
_HELLO_SECONDS = 3.0
# A kernel's parent, grandparent and so on: a warden and a template may stand between it and its server.
_ANCESTORS = 4
_SCRIPT = re.compile(r"jupyter-(lab|labhub|server|notebook|nbclassic)|jupyterhub-singleuser")
_MODULE = re.compile(r"jupyterlab|jupyter_server|notebook|nbclassic|jupyterhub\.singleuser")


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "stop",
        help="end a running kernel: ask it, then signal it",
        description="Ends a running kernel of yours: it is asked to end, then gets SIGTERM, then SIGKILL.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "ids", nargs="+", metavar="ID", help="as `moorage kernels ps` shows it, a pid, or a connection file"
    )
    parser.add_argument(
        "--grace", type=float, default=5.0, metavar="S", help="seconds between these three (default: 5)"
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage kernels stop``."""
    import asyncio

    from moorage.cli.table import plain
    from moorage.discovery.running import find
    from moorage.errors import KernelTypeNotFound

    # All are found before one is stopped: a name that is wrong stops nothing.
    kernels = [find(each) for each in options.ids]
    for each in kernels:
        if not each.alive:
            raise KernelTypeNotFound(
                f"the kernel {each.id} runs no more", do=f"What is left is its file: {each.connection_file}"
            )
    stopped = []
    for each in kernels:
        server = None if each.pid is None else server_of(each.pid)
        ended = asyncio.run(stop(each, max(0.0, options.grace)))
        stopped.append({"id": each.id, "pid": each.pid, "ended": ended, "server": server})
        if not options.json:
            again = f"; the Jupyter server {server} will start it again: shut it down there" if server else ""
            print(plain(f"stopped {each.id}: {ended}{again}"))
    if options.json:
        from moorage.version import __version__

        print(json_text({"moorage": __version__, "stopped": stopped}))
    return 0


def server_of(pid: int) -> int | None:
    """Return the pid of the Jupyter server that looks after a process; None where none is known."""
    if sys.platform != "linux":
        return None
    from moorage.process import procfs

    for _ in range(_ANCESTORS):
        process = procfs.look(pid)
        if process is None or process.ppid <= 1:
            return None
        pid = process.ppid
        try:
            words = procfs.read(f"/proc/{pid}/cmdline").decode(errors="replace").split("\0")
        except OSError:
            return None
        module = words[2] if words[1:2] == ["-m"] and len(words) > 2 else ""
        scripts = [word.rpartition("/")[2] for word in words[:2]]
        if _MODULE.fullmatch(module) or any(map(_SCRIPT.fullmatch, scripts)):
            return pid
    return None


async def stop(kernel: RunningKernel, grace: float) -> str:
    """End a kernel.

    Args:
        kernel: a living one.
        grace: seconds after asking, and after SIGTERM.

    Returns:
        How it ended, in words.

    Raises:
        DeadlineExceeded: it does not listen, and no process is certain to be it.
    """
    from moorage.discovery.running import confirmed
    from moorage.errors import DeadlineExceeded, KernelDied
    from moorage.kernel.attach import attach

    # Without a key an answer proves nothing.
    if not kernel.info.key and kernel.pid is not None and confirmed(kernel)[0] is None:
        raise _doubtful(kernel)
    try:
        async with attach(kernel.connection_file, timeout=_HELLO_SECONDS) as attached:
            return (await attached.shutdown(grace=grace)).describe()
    except KernelDied:
        return "it had just ended"
    except DeadlineExceeded:
        pid, _ = confirmed(kernel)
        if pid is None and kernel.pid is not None:
            raise _doubtful(kernel) from None
        if pid is None:
            raise
        return (await _signalled(pid, kernel, grace)).describe()


def _doubtful(kernel: RunningKernel) -> DeadlineExceeded:
    """Return the error that tells why what listens at a kernel's port is left alone."""
    from moorage.discovery.running import confirmed
    from moorage.errors import DeadlineExceeded

    pid = confirmed(kernel)[1]
    listens = "what listens at its port" if pid is None else f"the process {pid}, which listens at its port,"
    return DeadlineExceeded(
        f"the kernel {kernel.id} does not answer to the key in its file, and nothing is signalled",
        why=f"It is not certain that {listens} is its kernel, which may have ended long ago",
        do=f"Delete {kernel.connection_file}, or end the process yourself if it is the kernel",
    )


async def _signalled(pid: int, kernel: RunningKernel, grace: float) -> ExitStatus:
    """End a kernel that does not listen: SIGTERM, then SIGKILL."""
    import asyncio
    import signal

    from moorage.errors import DeadlineExceeded
    from moorage.exit_status import ExitStatus

    if sys.platform == "linux":  # elsewhere no pid is known
        from moorage.process.observed import watching

        with watching(pid, kernel.connection_file) as process:
            if process is not None:
                if not process.try_signal(signal.SIGTERM):
                    raise DeadlineExceeded(f"the process {pid} of {kernel.id} may not be signalled from here")
                try:
                    async with asyncio.timeout(grace):
                        return await process.wait()
                except TimeoutError:
                    return await process.kill()
    return ExitStatus()
