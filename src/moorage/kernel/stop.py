"""Ending a kernel that this process did not start."""

from __future__ import annotations

import sys

from moorage.discovery.running import RunningKernel, confirmed
from moorage.errors import DeadlineExceeded, KernelDied
from moorage.exit_status import ExitStatus
from moorage.kernel.attach import attach
from moorage.kernel.found import NOTHING, FoundLauncher
from moorage.kernel.supervisor import Supervisor
from moorage.tasks import beside

if sys.platform == "linux":
    from moorage.process.observed import watching

_HELLO_SECONDS = 3.0
"""Seconds a kernel has for its first answer, before it is signalled without being asked."""


async def stop(kernel: RunningKernel, *, grace: float) -> str:
    """End a running kernel that this process did not start: ask it, then SIGTERM, then SIGKILL.

    Args:
        kernel: a living one.
        grace: seconds after asking, and after SIGTERM.

    Returns:
        How it ended, in words.

    Raises:
        DeadlineExceeded: it does not listen, and no process is certain to be it. Cancelling leaves it as it
            is by then.
    """
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
    """Return the error for a process that listens at a kernel's port and may be another's."""
    pid = confirmed(kernel)[1]
    listens = "what listens at its port" if pid is None else f"the process {pid}, which listens at its port,"
    return DeadlineExceeded(
        f"the kernel {kernel.id} does not answer to the key in its file, and nothing is signalled",
        why=f"It is not certain that {listens} is its kernel, which may have ended long ago",
        do=f"Delete {kernel.connection_file}, or end the process yourself if it is the kernel",
    )


async def _signalled(pid: int, kernel: RunningKernel, grace: float) -> ExitStatus:
    """End a kernel that does not listen: SIGTERM, then SIGKILL."""
    if sys.platform == "linux":  # elsewhere no pid is known
        with watching(pid, kernel.connection_file) as process:
            if process is not None:
                if not process.try_signal(0):
                    raise DeadlineExceeded(f"the process {pid} of {kernel.id} may not be signalled from here")
                supervisor = Supervisor(kernel.id, NOTHING, FoundLauncher(process), owned=False)
                async with beside(supervisor.keep(), name=f"end {pid}"):
                    await supervisor.started()
                    supervisor.stop(grace=grace, ask=False)
                    return await supervisor.wait()
    return ExitStatus()
