"""What kernels of other makes can do, tried one after the other, and written as a page.

    python -m bench.kernels_tried [--write] [KERNEL]...

For each kernel: each rendezvous forced (started, a line run, ended), the protocol version and the interrupt
that it understands, whether it ends when asked, and how much of what it prints comes after it says idle, or
never. With --write the table becomes docs/reference/kernels-tried.md. Kernels that are not installed are left
out.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import signal
import sys
import tempfile
from pathlib import Path

from bench.dialects import DIALECTS, Dialect
from bench.measure import HERE, machine, table
from moorage.discovery.kernelspec import find
from moorage.errors import MoorageError
from moorage.kernel.client import Client
from moorage.kernel.kernel import Kernel
from moorage.kernel.late_output import LateOutput
from moorage.kernel.launch import launch
from moorage.kernel.quirks import late_output
from moorage.rendezvous.choice import decide
from moorage.wire import messages

PAGE = HERE.parent / "docs" / "reference" / "kernels-tried.md"
WAYS = ("ipc", "hold", "self-bind", "handshake")
PATIENCE, LINES = 40.0, 3000
HEAD = (
    "kernel",
    "version",
    "protocol",
    "auto",
    *WAYS,
    "SIGINT",
    "interrupt message",
    "asked to end",
    "late",
    "lost",
)

OPENING = """\
# Kernels tried

Made by `python -m bench.kernels_tried --write`, which starts each kernel in every way and lets it run, print,
be interrupted and end.

"""

NOTES = """\

- **auto** is the rendezvous that moorage picks; the four columns behind it say what works when forced.
- **SIGINT** and **interrupt message**: whether an endless loop ends and the kernel lives on. moorage sends
  what the kernelspec asks for, but deno gets the message, as the signal ends it, and xeus-python gets its own
  Python handler back when it starts, without which SIGINT ends it
  ([xeus#272](https://github.com/jupyter-xeus/xeus/issues/272)). What is idle is not interrupted: IRkernel may
  die of it.
- **asked to end**: by `shutdown_request`, how many seconds that took.
- **late**, **lost**: of LINES lines that a cell prints (tslab: 100), how many came after the kernel had said
  it was done, and how many never came. moorage waits for those that are late: for deno by a mark printed
  behind them, for kernels it does not know until they have been quiet for a moment. Lines are lost in kernels
  that publish each by itself, faster than ZeroMQ sends them: its publishers drop what exceeds 1000.

What else was met, none of it moorage's doing:

| kernel | |
| --- | --- |
| octave_kernel | says `ok` when a cell failed; the error is in what it printed |
| | an interrupt in the first millisecond of a cell may be lost |
| ipykernel 7 and what is built on it | asked to end on control, its control thread may wait 10 or 20 s for \
a printing thread that has ended: 15 of 40 ends of the smallest kernel built on ipykernel 7.4 took more \
than 8 s, of ipykernel itself 0 of 20. Asked on shell, 0 of 40 did: moorage asks there, whatever the command \
is, and so does `moorage kernels check` |
| bash_kernel | its errors have no name; it starts as slowly as `~/.bashrc` does |
| tslab | drops what comes within 0.2 s of an error; moorage sends a notebook's cell again |
| | more than some 200 outputs at once are lost and the cell's end with them: use `--cell-timeout` |
| xeus-python | needs shorter ipc addresses than a private directory has, so ipc cannot be forced |
| IRkernel | shows a value as `display_data`, not as `execute_result` |
| deno | what child processes and `Deno.stdout` write goes to its own output, not to the notebook |
"""


async def by_way(dialect: Dialect, way: str) -> str:
    """Start it by one rendezvous, run a line, end it."""
    try:
        async with (
            asyncio.timeout(3 * PATIENCE),
            launch(dialect.kernel, rendezvous=way, timeout=PATIENCE) as one,
        ):
            result = await one.execute(dialect.say.replace("{}", "hello"))
            said = "".join(each.get("text", "") for each in result.outputs).strip()
            met = one.rendezvous
            await one.shutdown(at_once=True)
    except (MoorageError, TimeoutError):
        return "no"
    return "yes" if (said, met) == ("hello", way) else "no"


async def interrupted(dialect: Dialect, how: str) -> str:
    """Start the endless loop and interrupt it by ``signal`` or ``message``."""
    try:
        async with asyncio.timeout(4 * PATIENCE), launch(dialect.kernel, timeout=PATIENCE) as kernel:
            answer = await _loop(kernel, dialect, how)
            await kernel.shutdown(at_once=True)
    except MoorageError:
        return "ends it"
    return answer


async def _loop(kernel: Kernel, dialect: Dialect, how: str) -> str:
    heard: list[str] = []
    running = asyncio.Event()

    def hear(message: messages.Message) -> None:
        if message.msg_type == "stream":
            heard.extend(message.content["text"].split())
        if heard.count("on") > 1:
            running.set()

    request = kernel.client.request("shell", messages.execute_request(dialect.loop), hear)
    async with asyncio.timeout(PATIENCE):
        await running.wait()
    if how == "signal":
        kernel.process.send_signal(signal.SIGINT)
    else:
        kernel.client.request("control", messages.interrupt_request())
    await asyncio.wait([request.done], timeout=3)
    if not request.done.done():
        return "no"
    request.done.result()
    async with asyncio.timeout(PATIENCE):
        while (result := await kernel.execute(dialect.say.replace("{}", "on"))).status in {
            "abort",
            "aborted",
        }:
            pass
    return "yes" if result.status == "ok" else "no"


async def late(client: Client, dialect: Dialect, lines: int, trail: LateOutput | None) -> tuple[int, int]:
    """Return how many lines came after the kernel had said that it was done, and how many never came."""
    counted = [0]

    def count(message: messages.Message) -> None:
        if message.msg_type == "stream":
            counted[0] += message.content["text"].count("\n")

    code = messages.execute_request(dialect.count.replace("{}", str(lines)))
    async with asyncio.timeout(PATIENCE):
        await client.request("shell", code, count).done
    at_once = counted[0]
    await (trail or LateOutput(quiet=1.0)).end(client, count)
    return counted[0] - at_once, lines - counted[0]


async def rest(dialect: Dialect) -> tuple[str, ...]:
    """Return version, protocol, how it ends and how much of its output is late or lost."""
    lines = 100 if dialect.kernel == "tslab" else LINES
    async with launch(dialect.kernel) as kernel:
        info = kernel.info
        trail = late_output(kernel.spec.argv, info)
        trailing = [await late(kernel.client, dialect, lines, trail) for _ in range(3)]
        began = asyncio.get_running_loop().time()
        exit_status = await kernel.shutdown(grace=PATIENCE)
        seconds = asyncio.get_running_loop().time() - began
    ended = f"{seconds:.1f} s" if exit_status.code == 0 else exit_status.describe()
    # ipykernel tells IPython's version as its own.
    told = str(info.get("implementation_version", ""))
    version = importlib.metadata.version("ipykernel") if dialect.kernel == "python3" else told
    most = [str(max(figures)) for figures in zip(*trailing, strict=True)]
    return version, str(info.get("protocol_version", "")), ended, *most


async def tried(dialect: Dialect) -> list[str]:
    """Return one kernel's row."""
    spec = find(dialect.kernel)
    version, protocol, *others = await rest(dialect)
    ways = [await by_way(dialect, way) for way in WAYS]
    stops = [await interrupted(dialect, how) for how in ("signal", "message")]
    return [dialect.title, version, protocol, decide(spec)[0], *ways, *stops, *others]


async def try_all(kernels: list[str]) -> list[list[str]]:
    """Try one kernel after the other."""
    rows = []
    for name in kernels:
        if not DIALECTS[name].here:
            print(f"{name}: not installed", flush=True)
            continue
        rows.append(await tried(DIALECTS[name]))
        print(" | ".join(rows[-1]), flush=True)
    return rows


def main() -> int:
    """Try the kernels and print or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kernels", nargs="*", choices=[[], *DIALECTS], default=[])
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(Path.cwd())}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home  # bash_kernel reads ~/.bashrc
        rows = asyncio.run(try_all(options.kernels or list(DIALECTS)))
    text = table(HEAD, rows)
    print(text)
    if options.write:
        PAGE.write_text(f"{OPENING}On {machine()}:\n\n{text}\n{NOTES.replace('LINES', str(LINES))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
