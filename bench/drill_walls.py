"""What a visitor of ``moorage temp`` can do to its neighbour, from a terminal of its own JupyterLab.

    python -m bench.drill_walls [--seconds 10] [--rounds 1] [--only ATTACK] [--json FILE] [words of temp ...]

A neighbour runs a small cell over its websocket, again and again, for SECONDS before an attack and as long
during it; then the attacker's server is ended as by its own button. Printed are p95 of both and their ratio
(with rounds the median of them), and what the attack came to, by the attacker's control groups. Needs
JupyterLab. The service is told ``--memory 512M --processes 256`` unless the words say otherwise.

Exit code 0 when nothing was hurt: each cell of the neighbour had its result, what it had in memory is still
there, the service runs and takes a new visitor, and no process or control group of an attacker is left. The
ratio, whose target is 1.3, decides nothing: other programs of the machine are in it, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import hear_ctrl_c, machine, median, table, write_results
from bench.temp_guests import CELL, PATIENCE, Service, guest
from moorage.load.document import RanCell
from moorage.load.kernel_channel import KernelChannel
from moorage.load.steps import StepFailed

TARGET = 1.3
PAUSE = 0.05
"""Seconds between two cells of the neighbour."""
_OPENER = (
    "import os,time\\nheld=[]\\ntry:\\n while 1: held.append(os.open('/dev/null',0))\\n"
    "except OSError: time.sleep(900)"
)
_TAKER = "held=[]\\nwhile 1: held.append(b'1'*(16<<20))"
ATTACKS = {
    "fork bomb": "bomb() { bomb | bomb & }; bomb",
    "memory bomb": f"""while :; do {sys.executable} -c "exec('''{_TAKER}''')"; done""",
    "disk filler": "while :; do cat /dev/zero > ~/full; cat /dev/zero > /tmp/full; done 2>/dev/null",
    "descriptor hog": f"""for n in $(seq 500); do {sys.executable} -c "exec('''{_OPENER}''')" & done""",
    "processor burner": "for n in $(seq 32); do setsid sh -c 'while :; do :; done' & done",
}
"""Lines for a terminal. Each loop of the burner has a session, by which Linux may share processors."""


@dataclass
class Found:
    """What came of one kind of attack; times in seconds."""

    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    came_to: str = ""
    hurt: list[str] = field(default_factory=list)


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20, method="inclusive")[18]


async def cells(channel: KernelChannel, seconds: float, hurt: list[str]) -> list[float]:
    """Have a neighbour run cells; what it sees of an error is added to ``hurt``."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end or len(times) < 20:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await channel.run(CELL)
        except (StepFailed, TimeoutError) as error:
            hurt.append(f"a cell of the neighbour: {error!r}")
            return times
        times.append(time.monotonic() - begun)
        await asyncio.sleep(PAUSE)
    return times


def came_to(groups: list[Path], files: int) -> str:
    """Return what an attack holds, as far as its groups tell."""
    said = ["its own server ended"] if groups and not any(each.exists() for each in groups) else []
    for name, what, unit in (
        ("pids.current", "processes", 1),
        ("memory.current", "MiB", 1 << 20),
        ("memory.usage_in_bytes", "MiB", 1 << 20),
    ):
        said += [
            f"{int((each / name).read_text()) // unit} {what}" for each in groups if (each / name).exists()
        ]
    for each in groups:
        for name in ("memory.oom_control", "memory.events"):
            with suppress(OSError):
                kills = re.search(r"oom_kill (\d+)", (each / name).read_text())
                said += [f"{kills[1]} killed"] if kills and kills[1] != "0" else []
    return ", ".join([*said, f"{max(0, open_files() - files)} files opened"])


def open_files() -> int:
    return int(Path("/proc/sys/fs/file-nr").read_text().split()[0])


async def attack(url: str, line: str, channel: KernelChannel, seconds: float, found: Found) -> None:
    """Measure the neighbour before an attack and during it."""
    async with guest(url) as attacker:
        before, files = await cells(channel, seconds, found.hurt), open_files()
        async with attacker.terminal(line):
            during = await cells(channel, seconds, found.hurt)
            found.came_to = came_to(attacker.groups, files)
            await attacker.leave()
        if len(before) > 1 and len(during) > 1:
            found.ratios.append(p95(during) / p95(before))
        found.before += before
        found.during += during
        gone = time.monotonic() + PATIENCE
        while left := [str(each) for each in attacker.groups if each.exists()]:
            if time.monotonic() > gone:
                found.hurt.append(f"left: {', '.join(left)}")
                return
            await asyncio.sleep(0.2)


async def drill(url: str, seconds: float, rounds: int, wanted: Sequence[str]) -> dict[str, Found]:
    found = {name: Found() for name in wanted}
    async with AsyncExitStack() as stack:
        neighbour = await stack.enter_async_context(guest(url))
        channel = await stack.enter_async_context(neighbour.kernel())
        await channel.run(RanCell("kept = 41; print(kept)", "41"))
        for number in range(rounds):
            for name in wanted:
                await attack(url, ATTACKS[name], channel, seconds, found[name])
                print(f"{number + 1}: {name}: {found[name].came_to}", file=sys.stderr, flush=True)
                if found[name].hurt:
                    return found
        last = found[name]
        try:
            await channel.run(RanCell("print(kept + 1)", "42"))
            async with guest(url) as another, another.kernel() as its:
                await its.run(CELL)
        except (StepFailed, TimeoutError, AssertionError) as error:
            last.hurt.append(f"afterwards: {error!r}")
    return found


async def run(
    words: list[str], seconds: float, rounds: int, wanted: Sequence[str]
) -> tuple[dict[str, Found], list[str]]:
    """Start a service, drill, and end it; return what came of it, and what the service said of limits."""
    with tempfile.TemporaryDirectory(prefix="mw-", dir="/tmp") as folder:
        service = Service(Path(folder, "s"), ["--memory", "512M", "--processes", "256", *words])
        await service.start()
        try:
            found = await drill(service.url, seconds, rounds, wanted)
            if service.code is not None:
                found[wanted[0]].hurt.append(f"the service ended: {service.code}")
        finally:
            await service.end()
        lines = [line[9:] for line in service.said().splitlines()]
        return found, [
            line for line in lines if re.match(r"Walls|Each may|Control|No control|The memory", line)
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=ATTACKS, action="append", help="again for another; default: all")
    parser.add_argument("--json", type=Path)
    options, words = parser.parse_known_args()
    hear_ctrl_c()
    found, said = asyncio.run(run(words, options.seconds, options.rounds, options.only or [*ATTACKS]))
    rows = []
    for name, one in found.items():
        ms = [f"{1000 * p95(times):.1f}" if len(times) > 1 else "-" for times in (one.before, one.during)]
        ratio = f"{median(one.ratios):.2f}" if one.ratios else "-"
        rows.append([name, *ms, ratio, one.came_to, "; ".join(one.hurt) or "nothing"])
    print(*said, sep="\n")
    print(f"\nA small cell of a neighbour, p95; the ratio is to be {TARGET} at most. {machine()}\n")
    print(table(["attack", "before, ms", "during, ms", "ratio", "it came to", "hurt"], rows))
    results = {name: vars(one) for name, one in found.items()}
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    else:
        write_results("drill_walls", results)
    return 1 if any(one.hurt for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
