"""Kernels started while notebooks still run, so that the next one finds its kernel there.

One is ready at a time, for the interpreter moorage runs in and the folder that most notebooks are in. A
notebook that needs anything else gets a kernel launched for itself.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.discovery.kernelspec import KernelSpec, native
from moorage.json_types import JsonMapping, JsonObject
from moorage.kinds import NO_HISTORY
from moorage.notebooks.planning.settings import RenderSettings
from moorage.tasks import beside

if TYPE_CHECKING:
    from moorage.kernel.kernel import Kernel
    from moorage.kernel.pool import Pool
    from moorage.process.base import Fork

_NO_DEADLINE = 365 * 86400.0


class Prelaunch:
    """Kernels that are ready, and the notebooks they are for; made by :func:`prelaunched`."""

    def __init__(
        self, spec: KernelSpec, options: JsonMapping, names: Iterable[str], stack: AsyncExitStack
    ) -> None:
        """Describe it.

        Args:
            spec: the kernel type.
            options: what its kernels are launched with.
            names: the notebooks it is for.
            stack: the run's, in which the kernels are held.
        """
        self._spec = spec
        self._options = options
        self._waiting = set(names)
        self._stack = stack
        self._ready: Pool | None = None

    async def launch(
        self, name: str, spec: KernelSpec, options: JsonMapping
    ) -> AbstractAsyncContextManager[Kernel] | None:
        """Return a kernel that is ready or about to be; None when a notebook needs one of its own.

        Args:
            name: the notebook.
            spec: the kernel type it needs.
            options: how it would be launched.
        """
        if spec != self._spec or options != self._options:
            return None
        # Nothing is started, nor loaded, before the first notebook wants a kernel: all may be in the cache.
        if self._ready is None:
            from moorage.kernel.pool import Pool

            self._ready = Pool(spec, 0, options)
            await self._stack.enter_async_context(beside(self._ready.run(), name=f"pool of {spec.name}"))
        self.settled(name)
        return self._ready.launch()

    def settled(self, name: str) -> None:
        """A notebook has its kernel, or needs none."""
        self._waiting.discard(name)
        if self._ready is not None:
            self._ready.resize(min(1, len(self._waiting)))


def load_what_launches() -> None:
    """Load the modules that launch kernels, which a run needs whose results are not all in the cache."""
    for name in ("moorage.kernel.pool", "moorage.kernel.starting"):
        importlib.import_module(name)


def launch_options(
    spec: KernelSpec,
    settings: RenderSettings,
    *,
    directory: Path,
    env: Mapping[str, str],
    fork: Fork,
    start_timeout: float,
) -> JsonObject:
    """Return how a notebook's kernel is launched.

    Args:
        spec: its kernel type.
        settings: of the run.
        directory: where it runs.
        env: its environment.
        fork: see :func:`moorage.launch`.
        start_timeout: seconds its kernel may take to answer, 0 for no deadline.
    """
    arguments = settings.kernel_arg
    if spec.kind.has_ipython(spec.language):
        arguments = (*NO_HISTORY, *arguments)
    return {
        "cwd": directory,
        "env": env,
        "rendezvous": settings.rendezvous,
        "kernel_args": arguments,
        "timeout": start_timeout or _NO_DEADLINE,
        "fork": fork,
        "isolate": settings.isolate,
    }


@asynccontextmanager
async def prelaunched(
    directories: Mapping[str, Path], settings: RenderSettings, *, env: Mapping[str, str]
) -> AsyncIterator[Prelaunch | None]:
    """Have kernels ready while the block lasts; None where there is no kernel of this interpreter.

    Args:
        directories: where each notebook of the run is.
        settings: of the run.
        env: environment of the kernels, before what the settings add.
    """
    spec = native()
    if spec is None:
        yield None
        return
    most = Counter(directories.values()).most_common(1)[0][0]
    options = launch_options(
        spec,
        settings,
        directory=most,
        env={**env, **settings.env},
        fork=True,
        start_timeout=settings.start_timeout,
    )
    async with AsyncExitStack() as stack:
        yield Prelaunch(spec, options, directories, stack)
