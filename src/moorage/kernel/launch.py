"""``launch``: one kernel, started race-free, watched, and ended with its block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from moorage.process.warden.shared import warden_ahead

if TYPE_CHECKING:
    from moorage.discovery.kernelspec import KernelSpec
    from moorage.kernel.kernel import Kernel
    from moorage.places.base import Place
    from moorage.plan.restart import RestartPolicy
    from moorage.process.base import Fork, Isolate
    from moorage.process.environment import Changes
    from moorage.process.options import ProcessOptions
    from moorage.process.warden.client import Warden
    from moorage.rendezvous.base import Choice


def launch(
    kernel_type: str | KernelSpec = "python3",
    *,
    cwd: str | Path | None = None,
    env: Changes | None = None,
    rendezvous: Choice = "auto",
    kernel_args: Sequence[str] = (),
    timeout: float = 60.0,
    warden: Warden | None = None,
    fork: Fork = "auto",
    isolate: Isolate = "none",
    process: ProcessOptions | None = None,
    place: Place | None = None,
    restarts: RestartPolicy | int | None = None,
) -> AbstractAsyncContextManager[Kernel]:
    """Launch a kernel that lives as long as the ``async with`` block.

    Args:
        kernel_type: a name (``python3``, ``spec/ir``) or a kernelspec.
        cwd: the kernel's working directory; default is the present one.
        env: added to this process's environment; None unsets a variable.
        rendezvous: how to agree on addresses; ``auto`` picks what suits the kernel.
        kernel_args: appended to the kernel's command.
        timeout: seconds until the kernel must have answered.
        warden: the parent of its process; default is the one that launches of the running loop share.
        fork: fork it from a template with its imports done, where that can be done (Linux, ipykernel
            and kernels built on it): True always, False never, ``auto`` from the second one alike on.
        isolate: ``net`` gives it a network namespace of its own, in which nothing is but a loopback.
        process: user, group, umask, limits and descriptors, where they are not to be this process's. Such a
            kernel is never forked from a template.
        place: where it runs; default is where its kernel type says, else this machine, as the four before
            say.
        restarts: how often within a minute it is started again if it dies, or a
            :class:`moorage.RestartPolicy`; None for never. It counts once the kernel has answered, and no end
            that was asked for is a death.

    Returns:
        A block, to be entered by ``async with``: it yields the kernel, proven to hear and to be heard.
        Leaving the block ends it and everything it started, and returns when nothing of it is left.

    Raises:
        KernelTypeNotFound: there is no such kernel type.
        UsageError: a value has the wrong type, names what there is not, or does not go with another.
        IsolationError: this machine gives no network namespace.
        LaunchError: its program or the working directory cannot be used.
        StartDeath: it ended before it answered; the message carries its exit status and last output.
        DeadlineExceeded: it did not answer in time.

    Cancelling while it starts kills it.
    """
    here = {"warden": warden, "fork": fork, "isolate": isolate, "process": process}
    options: _Options = {
        "cwd": cwd,
        "env": env,
        "rendezvous": rendezvous,
        "kernel_args": tuple(kernel_args),
        "restarts": restarts,
        "timeout": timeout,
    }
    return _launched(kernel_type, place, here, options)


class _Options(TypedDict):
    """What a launch says of the kernel itself."""

    cwd: str | Path | None
    env: Changes | None
    rendezvous: Choice
    kernel_args: tuple[str, ...]
    restarts: RestartPolicy | int | None
    timeout: float


@asynccontextmanager
async def _launched(
    kernel_type: str | KernelSpec, place: Place | None, here: Mapping[str, Any], options: _Options
) -> AsyncIterator[Kernel]:
    named = place is not None or (not isinstance(kernel_type, str) and kernel_type.place is not None)
    # A warden takes 30 ms to come up, and as long takes what is imported here: once in a process.
    with warden_ahead(wanted=here["warden"] is None and not named):
        from moorage.kernel.starting import asked_place, started  # noqa: PLC0415 - see above

        async with started(kernel_type, asked_place(place, **here), **options) as kernel:
            yield kernel
