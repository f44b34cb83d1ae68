"""Where a kernel runs that Jupyter starts: where its kernel type says, or not at all.

What can be asked for in Jupyter, and a place cannot give, is refused before anything starts: a kernel that
has more of this machine than its type says must not run.
"""

from __future__ import annotations

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import UsageError
from moorage.kernel.starting import place_of
from moorage.places.base import Place
from moorage.places.here import Here
from moorage.process.options import ProcessOptions


def placed(kernel: KernelSpec, process: ProcessOptions | None, *, independent: bool = False) -> Place:
    """Return where a manager's kernel runs.

    Args:
        kernel: its kernel type.
        process: what its caller wants of its process.
        independent: it is to be a process that moorage does not own.

    Raises:
        UsageError: a kernel of that type cannot be had so.
    """
    own = kernel.place
    if own is not None and not isinstance(own, Here) and process is not None:
        raise UsageError(
            f"the kernel type {kernel.kernel_type} cannot be started with options of its process",
            why=f"It runs on {own.name}, and they are this machine's",
            do="Leave out user, group, extra_groups, umask, rlimits and pass_fds",
        )
    place = place_of(kernel, Here(process=process))
    if independent and not (isinstance(place, Here) and place.plain):
        raise UsageError(
            f"the kernel type {kernel.kernel_type} cannot be started as a process that moorage does not own",
            why=f"It runs on {place.name}, as its provider says",
            do="Start it through a kernel manager, and leave independent out",
        )
    return place


def adapted(kernel: KernelSpec) -> Here:
    """Return where a kernel runs on behalf of which an adapter registers.

    Raises:
        UsageError: the launcher with which it registers would not find it.
    """
    place = place_of(kernel, Here(fork=False))
    if isinstance(place, Here) and place.isolate == "none":
        return place
    raise UsageError(
        f"no adapter can register the kernel type {kernel.kernel_type}",
        why=f"It runs on {place.name}, and what it registers with looks for it at ports of this machine",
        do="Launch it with moorage, or through Jupyter with moorage's provisioner",
    )
