"""What SIGKILL of each part of ``moorage temp`` costs its visitors.

    python -m bench.drill_temp [--rounds 20] [--neighbours 3] [--busy 2] [--only PART]... [words]

Neighbours run a small cell over their websockets all the time, beside BUSY processes that compute. In each
round one part is killed: a visitor's server, its kernel, its keeper, the template that servers are forked
from, an acceptor, the service itself (which is then started again, at the same port).
Words are options of ``moorage temp``. What has to hold:

- a neighbour keeps its kernel and what is in that. Its websocket is cut by a killed acceptor or service
  alone, opens again, and what it had is there.
- the visitor whose server or keeper was killed is told so on the front page, and gets a new server by the
  button; a kernel that was killed is there again, as JupyterLab has it; nothing of the killed is left.
- after a killed template, acceptor or service a new visitor gets a server that runs a cell.

At the end the service is ended as by Ctrl-C, and nothing is left: no process, no directory. Exit code 0 when
all of that held. Needs JupyterLab.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.measure import hear_ctrl_c, machine, median, table, write_results
from bench.temp_guests import CELL, PATIENCE, Guest, Service, guest, let_in
from moorage.load.document import RanCell
from moorage.load.steps import StepFailed
from moorage.process import procfs
from moorage.tasks import beside

PAUSE = 0.1
"""Seconds between two cells of a neighbour, and between two looks at what is left."""
CUT_BY = ("acceptor", "service")
"""Parts through which websockets run."""
CUT = "The websocket was closed"
TRIED_AGAIN = {0, 502, 503, 504}
"""Statuses, 0 for none, at which a browser tries again to open its websocket."""


@dataclass
class Found:
    """What came of the rounds of one part.

    Attributes:
        seconds: from each kill to all being well again.
        cut: how many websockets of neighbours were cut.
        hurt: what should not have been, each in a sentence.
    """

    seconds: list[float] = field(default_factory=list)
    cut: int = 0
    hurt: list[str] = field(default_factory=list)


class Neighbour:
    """Runs a cell again and again in the kernel that it has; opens its websocket again where that is cut.

    Attributes:
        cells: how many have had their result.
        cuts: how often its websocket was cut.
        hurt: what else went wrong.
    """

    def __init__(self, own: Guest, number: int) -> None:
        self.cells = self.cuts = 0
        self.hurt: list[str] = []
        self._own = own
        self._keep = RanCell(f"kept = {number}; print(kept)", str(number))
        self._cell = RanCell("print(kept)", str(number))

    async def live(self) -> None:
        """Run cells until cancelled."""
        kernel = await self._own.start_kernel()
        first = self._keep
        while True:
            try:
                async with asyncio.timeout(PATIENCE) as patience, self._own.channel(kernel) as channel:
                    await channel.run(first)
                    first = self._cell
                    while channel.closed is None:
                        patience.reschedule(asyncio.get_running_loop().time() + PATIENCE)
                        await channel.run(first)
                        self.cells += 1
                        await asyncio.sleep(PAUSE)
            except (StepFailed, TimeoutError) as error:
                said = str(error) or "no answer for a minute"
                status = error.trouble.status if isinstance(error, StepFailed) else 0
                cut = said.startswith(CUT)
                # What a browser tries again: a connection that is cut, refused, or met a part that starts.
                if cut or (isinstance(error, StepFailed) and status in TRIED_AGAIN):
                    self.cuts += cut
                else:
                    self.hurt.append(f"a neighbour: {said}" + (f" with {status}" if status else ""))
                await asyncio.sleep(PAUSE)

    async def lives_on(self) -> None:
        """Wait until it has run two cells more, of which at least one began after this was called."""
        wanted = self.cells + 2
        await until(lambda: self.cells >= wanted or bool(self.hurt), "a neighbour runs no cells any more")


async def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait until something holds.

    Raises:
        StepFailed: it does not, after a minute.
    """
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise StepFailed(otherwise)
        await asyncio.sleep(PAUSE)


class Drill:
    """A service, its state, and the parts that can be killed."""

    def __init__(self, service: Service, state: Path) -> None:
        self.service = service
        self._state = state
        self.parts: dict[str, Callable[[], Awaitable[None]]] = {
            "server": partial(self.a_visitors, "charge"),
            "kernel": self.a_kernel,
            "keeper": partial(self.a_visitors, "keeper"),
            "template": self.the_template,
            "acceptor": self.an_acceptor,
            "service": self.the_service,
        }

    def pid(self, own: Guest, which: str) -> int:
        """Return the pid of a visitor's server (``charge``) or of its keeper."""
        record = json.loads((self._state / "kept" / own.server / "record.json").read_text())
        return int(record[which]["pid"])

    async def gone(self, own: Guest, pids: list[int]) -> None:
        """Wait until nothing of a visitor's server is left."""
        folders = [self._state / "kept" / own.server, self._state / "servers" / own.server, *own.groups]

        def left() -> list[object]:
            return [*filter(alive, pids), *(str(each) for each in folders if each.exists())]

        try:
            await until(lambda: not left(), "not gone")
        except StepFailed:
            raise StepFailed(f"left of {own.server}: {left()}") from None

    async def a_visitors(self, which: str) -> None:
        """Kill a visitor's server or its keeper: the visitor is told, and gets another one."""
        async with guest(self.service.url) as own, own.kernel() as channel:
            await channel.run(CELL)
            pids = [self.pid(own, "keeper"), self.pid(own, "charge")]
            os.kill(self.pid(own, which), signal.SIGKILL)
            await self.gone(own, pids)
            told = (await own.browser.visit("/")).text
            if "has ended" not in told:
                raise StepFailed(f"the visitor is not told that its server has ended: {told[:200]}")
            another = await let_in(own.browser)
            async with another.kernel() as its:
                await its.run(CELL)
            await another.leave()

    async def a_kernel(self) -> None:
        """Kill a kernel: its server starts it again, and the open websocket is told and goes on."""
        async with guest(self.service.url) as own, own.kernel() as channel:
            await channel.run(CELL)
            (pid,) = kernels(self.pid(own, "charge"))
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not alive(pid), f"the kernel {pid} is still there")
            await until(lambda: bool(kernels(self.pid(own, "charge"))), "the kernel is not started again")
            # The subscription may reach its successor after the first request, whose output is lost then.
            await again(channel.greet, each=2)
            await again(partial(channel.run, CELL))
            await own.leave()

    async def the_template(self) -> None:
        """Kill the template: visitors get servers meanwhile, and another template is made."""
        pid = self._template()
        os.kill(pid, signal.SIGKILL)
        await self._a_new_visitor_works()
        await until(lambda: self._template() != pid, "no other template is made")

    def _template(self) -> int:
        told = [line.rpartition(" ")[2] for line in self.service.said().splitlines() if FORKED in line]
        if not told:
            raise StepFailed("no template was made")
        return int(told[-1])

    async def an_acceptor(self) -> None:
        """Kill an acceptor: another takes its place."""
        pids = acceptors(self.service.pid)
        os.kill(min(pids), signal.SIGKILL)
        await self._a_new_visitor_works()
        await until(
            lambda: len(acceptors(self.service.pid) - {min(pids)}) == len(pids),
            "no other acceptor is started",
        )

    async def the_service(self) -> None:
        """Kill the service and start it again."""
        pids = acceptors(self.service.pid)
        await self.service.kill()
        await until(lambda: not any(map(alive, pids)), "acceptors outlive the service")
        await self.service.start()
        await self._a_new_visitor_works()
        await until(lambda: bool(acceptors(self.service.pid)), "no acceptors are started")

    async def _a_new_visitor_works(self) -> None:
        async def come() -> None:
            async with guest(self.service.url) as own, own.kernel() as channel:
                await channel.run(CELL)
                await own.leave()

        await again(come)


async def again(work: Callable[[], Awaitable[None]], each: float = PATIENCE) -> None:
    """Do what a person does whose page was cut off: try again, for a minute at most.

    Args:
        work: what is tried.
        each: seconds that a try may take.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            async with asyncio.timeout(each):
                return await work()
        except (StepFailed, TimeoutError, AssertionError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(PAUSE)


FORKED = "Servers are forked from template"


def alive(pid: int) -> bool:
    process = procfs.look(pid)
    return process is not None and not process.dead


def kernels(pid: int) -> list[int]:
    """Return the pids of the kernels that descend from a process."""
    return [each for each in procfs.roots(procfs.table(), pid) if b"ipykernel_launcher" in command(each)]


def acceptors(pid: int) -> set[int]:
    """Return the pids of a service's acceptors."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return set()
    return {int(each) for each in children if b"temp_acceptor" in command(int(each))}


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@asynccontextmanager
async def living(url: str, count: int) -> AsyncIterator[list[Neighbour]]:
    """Have neighbours run cells beside the block."""
    async with AsyncExitStack() as stack:
        neighbours = []
        for number in range(count):
            neighbours.append(Neighbour(await stack.enter_async_context(guest(url)), number))
            await stack.enter_async_context(beside(neighbours[-1].live(), name=f"neighbour {number}"))
        for each in neighbours:
            await each.lives_on()
        yield neighbours


async def rounds(made: Drill, count: int, neighbours: list[Neighbour], parts: list[str]) -> dict[str, Found]:
    """Kill each part in turn, as often as asked."""
    found = {part: Found() for part in parts}
    for number in range(count):
        for part in parts:
            one, cuts, begun = found[part], sum(each.cuts for each in neighbours), time.monotonic()
            try:
                await made.parts[part]()
                for each in neighbours:
                    await each.lives_on()
            except (StepFailed, TimeoutError, AssertionError, OSError, ValueError) as error:
                one.hurt.append(f"round {number + 1}: {error!r}")
            one.seconds.append(time.monotonic() - begun)
            cut = sum(each.cuts for each in neighbours) - cuts
            one.cut += cut
            if cut and part not in CUT_BY:
                one.hurt.append(f"round {number + 1}: {cut} websockets of neighbours were cut")
            for each in neighbours:
                one.hurt += [f"round {number + 1}: {what}" for what in each.hurt]
                each.hurt.clear()
            print(
                f"{number + 1} {part}: {one.seconds[-1]:.1f} s {one.hurt[-1:] or ''}",
                file=sys.stderr,
                flush=True,
            )
    return found


async def drill(options: argparse.Namespace, words: list[str]) -> dict[str, Found]:
    """Start a service, drill, end it, and see what is left."""
    with tempfile.TemporaryDirectory(prefix="md-", dir="/tmp") as folder:
        state = Path(folder, "s")
        capacity = str(options.neighbours + 4)
        own = ["--spares", "1", "--acceptors", "2", "--capacity", capacity, "--lease", "120", *words]
        service = Service(state, own)
        await service.start()
        try:
            await until(lambda: FORKED in service.said(), f"no template was made: {service.said()}")
            async with living(service.url, options.neighbours) as neighbours:
                made = Drill(service, state)
                found = await rounds(made, options.rounds, neighbours, options.only or list(made.parts))
        finally:
            await service.end()
        left = [str(each) for name in ("kept", "servers") for each in (state / name).glob("*")]
        left += [f"{pid} {command(pid)[:80]!r}" for pid in procfs.table() if folder.encode() in command(pid)]
        if service.code or left:
            said = service.said()[-2000:]
            found["service"] = found.get("service", Found())
            found["service"].hurt.append(f"at the end: exit code {service.code}, left {left}: {said}")
    return found


@asynccontextmanager
async def busy(count: int) -> AsyncIterator[None]:
    """Have processes compute beside the block."""
    made = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in made:
            with suppress(ProcessLookupError):
                each.kill()
            each.wait()


async def run(options: argparse.Namespace, words: list[str]) -> dict[str, Found]:
    async with busy(options.busy):
        return await drill(options, words)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--neighbours", type=int, default=3)
    parser.add_argument("--busy", type=int, default=2)
    parser.add_argument("--only", action="append", metavar="PART", help="this part alone (repeatable)")
    options, words = parser.parse_known_args()
    hear_ctrl_c()
    found = asyncio.run(run(options, words))
    rows = [
        [part, str(len(one.seconds)), f"{median(one.seconds):.1f}", f"{max(one.seconds):.1f}", str(one.cut),
         "; ".join(one.hurt) or "nothing"]
        for part, one in found.items() if one.seconds or one.hurt
    ]  # fmt: skip
    print(f"SIGKILL, and the seconds until all was well again. {machine()}\n")
    print(table(["killed", "rounds", "median s", "longest s", "websockets cut", "hurt"], rows))
    write_results("drill_temp", {part: vars(one) for part, one in found.items()})
    return 1 if any(one.hurt for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
