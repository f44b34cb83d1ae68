"""Kernels started while notebooks still run, so that the next one finds its kernel there.

One is ready at a time, for the interpreter moorage runs in and the folder that most notebooks are in. A
notebook that needs anything else gets a kernel launched for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from moorage.discovery.kernelspec import KernelSpec, native
from moorage.json_types import JsonMapping, JsonObject
from moorage.kernel.kernel import Kernel
from moorage.kernel.pool import Pool, pool
from moorage.kinds import kind_of
from moorage.notebooks.planning.settings import RenderSettings
from moorage.process.local import Fork

_NO_DEADLINE = 365 * 86400.0


class Prelaunch:
    """Kernels that are ready, and the notebooks they are for; made by :func:`prelaunched`."""

    def __init__(self, ready: Pool, options: JsonMapping, names: Iterable[str]) -> None:
        """Describe it.

        Args:
            ready: the pool.
            options: what its kernels are launched with.
            names: the notebooks it is for.
        """
        self._ready = ready
        self._options = options
        self._waiting = set(names)

    def launch(
        self, name: str, spec: KernelSpec, options: JsonMapping
    ) -> AbstractAsyncContextManager[Kernel] | None:
        """Return a kernel that is ready or about to be; None when a notebook needs one of its own.

        Args:
            name: the notebook.
            spec: the kernel type it needs.
            options: how it would be launched.
        """
        if spec != self._ready.spec or options != self._options:
            return None
        self.settled(name)
        return self._ready.launch()

    def settled(self, name: str) -> None:
        """A notebook has its kernel, or needs none."""
        self._waiting.discard(name)
        self._ready.resize(min(1, len(self._waiting)))


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
    if kind_of(spec.argv).application and spec.language == "python":
        # Many kernels at once would queue for one history database.
        arguments = ("--HistoryManager.hist_file=:memory:", *arguments)
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
    # Nothing is started before the first notebook wants a kernel: all may be in the cache.
    async with pool(spec, size=0, **options) as ready:
        yield Prelaunch(ready, options, directories)
