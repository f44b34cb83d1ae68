"""``check_kernel``: does a kernel keep what Jupyter's protocol asks of it, and does it start every time?"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import KernelDied, UsageError
from moorage.exit_status import ExitStatus
from moorage.kernel.kernel import Kernel
from moorage.kernel.launch import launch
from moorage.kernel.quirks import ends_by_shell
from moorage.kernel.request import Request
from moorage.process.base import KILL, LaunchSpec
from moorage.process.local import LocalLauncher, Warden, shared_warden
from moorage.rendezvous.base import Way
from moorage.rendezvous.choice import decide, registers
from moorage.testing.snippets import LANGUAGES, Snippets
from moorage.testing.storm import Storm, job_of, start_in_storm
from moorage.testing.talk import Talk
from moorage.testing.trial import LONGEST, NotTried, Unmet, attempt, expect
from moorage.testing.verdict import Check, Verdict
from moorage.wire import messages
from moorage.wire.messages import Channel, Message

# The ports there are in the namespace of a storm; a thief holds forty of them at any moment.
_PORTS = "20000-21999"
# Exit code of ``moorage isolate`` where there can be no namespace.
_NO_NAMESPACE = 125
# Seconds until a killed kernel's death must have been reported, on the busiest machine.
_DEATH = 2.0
# Seconds a message may take: what must be, and what is advice.
_MUST, _MAY = 30.0, 10.0
# Seconds a kernel has to end after it was asked to.
_ENDS = 10.0

OnCheck = Callable[[Check], None]


async def check_kernel(
    kernel_type: str | KernelSpec,
    starts: int = 20,
    *,
    snippets: Snippets | None = None,
    on_check: OnCheck | None = None,
) -> Verdict:
    """Check a kernel: starts under a port storm, every rendezvous, messages, interrupt, restart, death.

    Args:
        kernel_type: its name or kernelspec.
        starts: how often it is started under the storm.
        snippets: small programs in its language; for Python, R, bash, Octave, Julia and JavaScript they
            are known.
        on_check: called with every check as soon as it is made.

    Returns:
        The verdict: what the protocol requires, and what is advice. Nothing a kernel does makes this raise.
        It takes a quarter of a minute and the time of some thirty starts. Cancelling ends all that was
        started.

    Raises:
        KernelTypeNotFound: there is no such kernel type.
    """
    if isinstance(kernel_type, str):
        from moorage.discovery.finder import find  # noqa: PLC0415 - only where a name is to be looked up

        kernel_type = await asyncio.to_thread(find, kernel_type)
    checking = _Checking(kernel_type, starts, snippets, on_check or (lambda _: None))
    async with shared_warden() as warden:
        await checking.run(warden)
    return Verdict(f"the kernel {kernel_type.kernel_type}", tuple(checking.checks))


class _Checking:
    """One check of one kernel type."""

    def __init__(self, spec: KernelSpec, starts: int, snippets: Snippets | None, on_check: OnCheck) -> None:
        self.checks: list[Check] = []
        self._spec = spec
        self._starts = starts
        self._snippets = snippets or LANGUAGES.get(spec.language)
        self._on_check = on_check

    async def run(self, warden: Warden) -> None:
        with tempfile.TemporaryDirectory(dir=warden.directory) as name:  # it goes whatever happens
            natural = await self._begins()
            if natural is None:
                return  # it does not start: every other check would fail alike
            await self._storm(warden, Path(tempfile.mkdtemp(dir=name)))
            await self._ways(natural)
            folder = Path(tempfile.mkdtemp(dir=name))
            await self._talks(folder)
            await self._ends(folder)

    def _note(self, check: Check) -> None:
        self.checks.append(check)
        self._on_check(check)

    async def _try(
        self,
        name: str,
        trial: Callable[[], Awaitable[None]],
        *,
        required: bool = True,
        longest: float = LONGEST,
    ) -> None:
        self._note(await attempt(name, trial, required=required, longest=longest))

    async def _begins(self) -> Way | None:
        """Start it once, by whatever rendezvous is natural to it; return that, or None."""
        ways: list[Way] = []

        async def once() -> None:
            async with launch(self._spec, fork=False, timeout=LONGEST) as kernel:
                ways.append(kernel.rendezvous)

        await self._try("it starts and answers", once, longest=2 * LONGEST)
        return ways[0] if ways else None

    async def _storm(self, warden: Warden, folder: Path) -> None:
        if self._starts < 1:
            return
        limit = LONGEST + 20 * self._starts
        storms: list[Storm] = []

        async def through() -> None:
            storm = await _start_in_namespace(self._spec, self._starts, warden, folder)
            storms.append(storm)
            count = len(storm.failures)
            expect(not count, f"{count} did not: {'; '.join(sorted(set(storm.failures)))[:2000]}")

        name = f"it starts {self._starts} times of {self._starts} while ports are stolen"
        check = await attempt(name, through, longest=limit)
        if check.passed and storms:
            middle = statistics.median(storms[0].seconds)
            ways = ", ".join(f"{way} {count} times" for way, count in storms[0].ways.items())
            check = Check(check.name, passed=True, why=f"{middle:.2f} s (median), {ways}")
        self._note(check)

    async def _ways(self, natural: Way) -> None:
        known: tuple[Way, ...] = ("handshake", "ipc", "self-bind", "hold")
        for way in known:
            # Held ports are what every kernel must do with: they are ports in a file, as ever.
            required = way in {natural, "hold"}
            await self._try(f"it starts by {way}", partial(self._by, way), required=required)

    async def _by(self, way: Way) -> None:
        if way == "handshake" and not registers(self._spec):
            raise NotTried("its kernelspec does not say that it registers")
        try:
            decide(self._spec, way)
        except UsageError as error:
            raise NotTried(error.why or error.what) from None
        async with launch(self._spec, rendezvous=way, fork=False, timeout=LONGEST / 3) as kernel:
            expect(kernel.rendezvous == way, f"it started by {kernel.rendezvous} in the end")

    async def _talks(self, folder: Path) -> None:
        async with _running(self._spec, folder) as kernel:
            talk = Talk(kernel, self._snippets)
            for name, trial, required in talk.trials():
                if kernel.process.exit_status is not None:
                    why = f"the kernel had died: {kernel.process.exit_status.describe()}"
                    self._note(Check(name, passed=False, why=why, required=required))
                else:
                    await self._try(name, trial, required=required, longest=_MUST if required else _MAY)

    async def _ends(self, folder: Path) -> None:
        for name, trial, required in (
            ("a restart makes it new, and its clients stay connected", self._restarts, True),
            ("its death is reported with its cause, and requests under way fail", self._dies, True),
            ("shutdown_request is answered and it ends", self._shuts_down, True),
            ("... with exit code 0", self._shuts_down_well, False),
            ("it leaves no files where it ran", self._leaves_nothing, False),
        ):
            await self._try(name, partial(trial, folder), required=required)

    async def _restarts(self, folder: Path) -> None:
        async with _running(self._spec, folder) as kernel:
            if self._snippets is not None and self._snippets.sets:
                await kernel.execute(self._snippets.sets)
            await kernel.restart()
            if self._snippets is not None and self._snippets.gets:
                result = await kernel.execute(self._snippets.gets)
                expect(result.status != "ok", "a variable has outlived the restart")

    async def _dies(self, folder: Path) -> None:
        async with _running(self._spec, folder) as kernel:
            code = self._snippets.loops if self._snippets is not None else ""
            if not code:
                raise NotTried("there is nothing in its language to keep it busy with")
            on = asyncio.Event()

            def receive(message: Message) -> None:
                if message.msg_type == "stream":
                    on.set()

            asked = kernel.client.request("shell", messages.execute_request(code), receive)
            await on.wait()
            os.kill(kernel.process.pid, KILL)
            began = monotonic()
            try:
                async with asyncio.timeout(_DEATH):
                    await asked.done
            except KernelDied as error:
                signum = None if error.exit_status is None else error.exit_status.signal
                expect(signum == KILL, f"it was reported as {error}")
            except TimeoutError:
                raise Unmet(f"the death was not reported within {monotonic() - began:.1f} s") from None
            else:
                raise Unmet("the request ended well")

    async def _shuts_down(self, folder: Path) -> None:
        async with _running(self._spec, folder) as kernel:
            asked = _asked_to_end(kernel)
            await _ended(kernel)
            try:
                reply = await asked.reply
            except KernelDied:
                raise Unmet("it ended without a shutdown_reply") from None
            expect(reply.msg_type == "shutdown_reply", f"the answer is a {reply.msg_type}")

    async def _shuts_down_well(self, folder: Path) -> None:
        async with _running(self._spec, folder) as kernel:
            _asked_to_end(kernel)
            status = await _ended(kernel)
        expect(status.code == 0, f"it ended with {status.describe()}")

    async def _leaves_nothing(self, folder: Path) -> None:
        left = await asyncio.to_thread(_files, folder)
        expect(not left, f"there are {', '.join(left[:10])}")


@asynccontextmanager
async def _running(spec: KernelSpec, folder: Path) -> AsyncIterator[Kernel]:
    async with launch(spec, cwd=folder, fork=False, timeout=LONGEST) as kernel:
        yield kernel


def _asked_to_end(kernel: Kernel) -> Request:
    """Ask a kernel to end as moorage does: one built on ipykernel may hang for ten seconds on control."""
    channel: Channel = "shell" if ends_by_shell(kernel.spec, kernel.info) else "control"
    return kernel.client.request(channel, messages.shutdown_request(restart=False))


async def _ended(kernel: Kernel) -> ExitStatus:
    """Wait until a kernel that was asked to end has ended."""
    try:
        async with asyncio.timeout(_ENDS):
            return await kernel.process.wait()
    except TimeoutError:
        raise Unmet(f"it still ran {_ENDS:g} s after it was asked to end") from None


async def _start_in_namespace(spec: KernelSpec, starts: int, warden: Warden, folder: Path) -> Storm:
    """Start a kernel many times under a port storm, where possible in a network namespace of few ports."""
    job, result = folder / "job.json", folder / "result.json"
    job.write_text(json.dumps(job_of(spec, starts)))
    storm = (sys.executable, "-m", "moorage.testing.storm", str(job), str(result))
    isolated = (sys.executable, "-m", "moorage", "isolate", "--port-range", _PORTS, "--", *storm)
    asked = LaunchSpec(isolated, str(Path.cwd()), dict(os.environ))
    async with LocalLauncher(warden).launch(asked) as handle:
        status = await handle.wait()
        if status.code == 0:
            done = json.loads(result.read_text())
            return Storm(tuple(done["seconds"]), done["ways"], tuple(done["failures"]))
        if status.code != _NO_NAMESPACE:
            raise Unmet(f"the storm ended with {status.describe()}: {handle.output()[-1000:]}")
    return await start_in_storm(spec, starts)


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
