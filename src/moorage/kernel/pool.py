"""Kernels started ahead of need, for programs that cannot wait for one.

    async with moorage.pool("python3", size=2) as pool:
        async with pool.launch(cwd="demos") as kernel:
            await kernel.execute("1 + 1")

A kernel is given out once, and ends with the block it was given to; another is started in its place.
"""

from __future__ import annotations

import asyncio
import difflib
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, assert_never

from moorage.discovery.finder import resolve
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import LaunchError, MoorageError, UsageError
from moorage.kernel.launch import launch
from moorage.kernel.options import LoopOptions
from moorage.kinds import READ_AT_START, WARM_EXPRESSIONS, moving
from moorage.places.here import Here, absolute
from moorage.plan import clock
from moorage.plan import pool as plan
from moorage.plan.pool import Spare, Wish
from moorage.process.environment import Changes, checked
from moorage.process.template.key import early
from moorage.tasks import beside

if TYPE_CHECKING:
    from moorage.kernel.kernel import Kernel
    from moorage.wire.messages import Message


class Pool:
    """Some kernels of one type, always ready; made by :func:`pool`."""

    def __init__(self, spec: KernelSpec, size: int, options: Mapping[str, Any]) -> None:
        """Describe them; ``options`` are those of :func:`moorage.launch`."""
        self.spec = spec
        self._options = dict(options)
        self._size = size
        self._closed = False
        self._reads: frozenset[str] = frozenset()
        self._machine = plan.PoolPlan()
        self._loop = asyncio.get_running_loop()
        self._wishes = itertools.count(1)
        self._waiting: dict[Wish, asyncio.Future[_Place]] = {}
        self._ready: dict[Spare, _Place] = {}
        self._to_start: asyncio.Queue[Spare] = asyncio.Queue()

    @property
    def ready(self) -> int:
        """How many kernels can be given out without any waiting."""
        return self._machine.ready

    def resize(self, size: int) -> None:
        """Keep so many ready from now on; those that are too many stay until they are taken."""
        self._size = size
        self._feed(plan.Resized(size))

    @asynccontextmanager
    async def launch(
        self, *, cwd: str | Path | None = None, env: Changes | None = None
    ) -> AsyncIterator[Kernel]:
        """Take a kernel; it ends with the ``async with`` block.

        Args:
            cwd: its working directory; default is the pool's.
            env: added to the pool's environment; None unsets a variable.

        Yields:
            A kernel that was not used before. One that cannot be had by moving a kernel of the pool (another
            environment from its first moment on; another directory for a kernel that is not ipykernel)
            is launched afresh.

        Raises:
            LaunchError, StartDeath, DeadlineExceeded: as from :func:`moorage.launch`.

        Cancelling while it waits leaves what was started to others.
        """
        env = checked(env)
        place = await self._take() if (cwd is None and not env) or self._movable(env) else None
        if place is not None and env and not self._moves(place.kernel, env):
            place.left.set()
            await place.gone.wait()
            place = None
        if place is not None:
            try:
                if cwd is not None or env:
                    await _move(place.kernel, cwd, env)
                self._settle(place)
                yield place.kernel
            finally:
                place.left.set()
                self._feed(plan.Settled(place.spare))
                await place.gone.wait()
            if place.error is not None:
                raise place.error
        else:
            inherited = self._options.get("env") or {}
            options = self._options | ({} if cwd is None else {"cwd": cwd}) | {"env": {**inherited, **env}}
            async with launch(self.spec, **options) as kernel:
                yield kernel

    async def run(self) -> None:
        """Keep the pool filled until cancelled, which ends every kernel of it."""
        self._feed(plan.Resized(self._size))
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    spare = await self._to_start.get()
                    group.create_task(self._keep(spare), name=f"pool {self.spec.name} {spare}")
        finally:
            self._closed = True
            for given in self._waiting.values():
                if not given.done():
                    given.set_exception(_closed())

    async def _take(self) -> _Place:
        if self._closed:
            raise _closed()
        wish = Wish(next(self._wishes))
        given: asyncio.Future[_Place] = self._loop.create_future()
        self._waiting[wish] = given
        self._feed(plan.Wanted(wish))
        try:
            return await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled() and given.exception() is None:
                given.result().left.set()  # it came at the same moment
            raise
        finally:
            del self._waiting[wish]
            self._feed(plan.Withdrawn(wish))

    def _movable(self, env: Changes) -> bool:
        """Whether a kernel that runs can be put into other surroundings so that no one can tell."""
        if not isinstance(self._options.get("place") or self.spec.place or Here(), Here):
            return False  # what a directory is called there, the place alone knows
        ipython = self.spec.kind.has_ipython(self.spec.language)
        read = self._reads & env.keys() or [name for name in env if name.startswith(READ_AT_START)]
        return ipython and not read and not early(dict.fromkeys(env, ""))

    def _moves(self, kernel: Kernel, env: Changes) -> bool:
        """Whether this kernel's interpreter has read none of these variables as it started."""
        reads: frozenset[str] | None = getattr(kernel.process, "start_reads", None)
        self._reads |= env.keys() if reads is None else reads
        return not self._reads & env.keys()

    def _feed(self, event: plan.Event, error: Exception | None = None) -> None:
        for command in self._machine.handle(event, self._loop.time()):
            match command:
                case plan.StartSpare(spare):
                    self._to_start.put_nowait(spare)
                case plan.Give(spare, wish):
                    self._give(self._waiting[wish], self._ready.pop(spare))
                case plan.RefuseWish(wish, _):
                    if not self._waiting[wish].done():
                        self._waiting[wish].set_exception(error or MoorageError("no kernel was started"))
                case clock.WakeAt(at):
                    self._loop.call_at(at, self._feed, clock.Tick())
                case _:
                    assert_never(command)

    @staticmethod
    def _give(given: asyncio.Future[_Place], place: _Place) -> None:
        if given.done():  # cancelled, and not yet withdrawn
            place.left.set()
        else:
            given.set_result(place)

    def _settle(self, place: _Place) -> None:
        """Have its replacement started once the kernel has answered the first request of its user."""

        def receive(message: Message) -> None:
            if message.content.get("execution_state") == "idle":
                end()
                self._loop.call_soon(self._feed, plan.Settled(place.spare))

        end = place.kernel.client.listen(receive)

    async def _keep(self, spare: Spare) -> None:
        """Start a kernel, and keep it until its user leaves it or it dies before."""
        place = None
        try:
            async with launch(self.spec, **self._options) as kernel:
                place = self._ready[spare] = _Place(spare, kernel)
                if (code := self.spec.kind.warm_up(self.spec.language)) is not None:
                    await kernel.client.execute(
                        code, silent=True, store_history=False, expressions=WARM_EXPRESSIONS
                    )
                self._feed(plan.SpareReady(spare))
                async with beside(self._watch(spare, place), name=f"watch {spare}"):
                    await place.left.wait()
        except Exception as error:  # noqa: BLE001 - boundary: raised where it is waited for, or used
            self._ready.pop(spare, None)
            if place is not None:
                place.error = error
            self._feed(plan.Failed(spare), error)
        finally:
            if place is not None:
                place.gone.set()

    async def _watch(self, spare: Spare, place: _Place) -> None:
        """Replace a kernel that dies before it was given out."""
        with suppress(MoorageError):
            await place.kernel.process.wait()
        if self._ready.pop(spare, None) is not None:
            place.left.set()
            self._feed(plan.SpareDied(spare))


def _closed() -> MoorageError:
    return MoorageError("the pool is closed: no kernel can be had from it")


class _Place:
    """A kernel of the pool, and what becomes of it."""

    def __init__(self, spare: Spare, kernel: Kernel) -> None:
        self.spare = spare
        self.kernel = kernel
        self.left = asyncio.Event()
        self.error: Exception | None = None
        self.gone = asyncio.Event()


async def _move(kernel: Kernel, cwd: str | Path | None, env: Changes) -> None:
    """Change a running ipykernel's directory and environment, and those of its restarts."""
    where = "." if cwd is None else absolute(cwd)
    result = await kernel.client.execute(moving(where, env), silent=True, store_history=False)
    if result.error is not None:
        raise LaunchError(
            f"the kernel {kernel.spec.kernel_type} cannot be put into {where!r}",
            why=f"{result.error.ename}: {result.error.evalue}",
        )
    kernel.supervisor.relocate(None if cwd is None else where, env)


@asynccontextmanager
async def pool(
    kernel_type: str | KernelSpec = "python3", *, size: int = 1, **options: Unpack[LoopOptions]
) -> AsyncIterator[Pool]:
    """Keep kernels ready for as long as the ``async with`` block lasts.

    Args:
        kernel_type: a name (``python3``, ``spec/ir``) or a kernelspec.
        size: how many are ready when none is taken.
        **options: for each of the kernels: ``cwd``, ``env``, ``rendezvous``, ``kernel_args``, ``timeout``,
            ``fork``, ``isolate``, ``process``, ``place``, ``restarts`` and ``warden`` mean what they mean to
            ``moorage.launch``, but that ``fork`` is True unless it is given.

    Yields:
        The pool, at once: its first kernels are starting.

    Raises:
        KernelTypeNotFound: there is no such kernel type.
        UsageError: there is no such option.

    Leaving or cancelling the block ends every kernel of the pool.
    """
    for name in options:
        if name not in (known := LoopOptions.__annotations__):
            near = difflib.get_close_matches(name, [*known, "size"], n=2)
            do = f"Did you mean {' or '.join(near)}?" if near else f"Known are size, {', '.join(known)}"
            raise UsageError(f"moorage.pool has no option {name}", do=do)
    spec = await resolve(kernel_type) if isinstance(kernel_type, str) else kernel_type
    result = Pool(spec, size, {"fork": True, **options})
    async with beside(result.run(), name=f"pool of {spec.name}"):
        yield result
