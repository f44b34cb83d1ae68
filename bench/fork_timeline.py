"""Where every millisecond of a forked start goes, from the call of launch to the first result.

    python bench/fork_timeline.py [N]

Starts N kernels (50) one after the other from one template, each on a warm machine, and prints the median of
what passes between two milestones. The template that runs is a copy of moorage's, whose ``forked.py`` also
notes the time at each milestone inside the kernel; moorage's own side is noted here. Both read
CLOCK_MONOTONIC. The notes cost about 0.2 ms. On a busy machine run it under ``nice -n -15``.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import moorage
from moorage.process.local import Warden
from moorage.process.template import client, key

NOTES = """

def note(name):
    notes.append((name, time.monotonic()))


def noted(owner, name, label, after=None):
    function = getattr(owner, name)

    def step(*args, **rest):
        note(label)
        result = function(*args, **rest)
        if after:
            note(after)
        return result

    setattr(owner, name, step)


def awaited(owner, name, label, after, write=False):
    function = getattr(owner, name)

    async def step(*args, **rest):
        note(label)
        result = function(*args, **rest)
        if inspect.isawaitable(result):
            result = await result
        note(after)
        if write:
            with open(os.path.join(os.environ["MOORAGE_TIMELINE"], f"{os.getpid()}.json"), "w") as file:
                json.dump(notes, file)
        return result

    setattr(owner, name, step)


import inspect, json, time
notes = []
quicken_only = patch


def patch():
    from ipykernel import ipkernel, kernelapp, kernelbase

    template = type("Template", (), {})()
    template.__dict__ = sys._getframe(1).f_globals  # it is in no list of modules
    application = kernelapp.IPKernelApp
    noted(template.launches, "receive", "the spare wakes", "it has the packet")
    noted(template.after_fork, "surround", "it becomes the kernel: directory, environment")
    noted(template.after_fork, "forget", "what is shared is dropped")
    noted(template.after_fork, "end_quickly", "runpy finds the module")
    noted(application, "initialize", "IPKernelApp: command line")
    noted(application, "init_connection_file", "connection file")
    noted(application, "init_sockets", "five sockets, two threads")
    noted(application, "init_heartbeat", "heartbeat")
    noted(application, "init_io", "streams: two pipes, two threads")
    noted(application, "init_kernel", "kernel and shell, history")
    noted(application, "init_path", "search path")
    noted(application, "init_shell", "shell's hooks")
    noted(application, "init_gui_pylab", "matplotlib's hook, extensions, startup files")
    noted(application, "start", "loop begins, first messages come in", None)
    kernel = ipkernel.IPythonKernel
    awaited(kernel, "kernel_info_request", "kernel_info: answered", "kernel_info: to the client and back")
    awaited(kernel, "execute_request", "execute: run and answered", "result: to the client", True)
    return quicken_only()
"""


async def measured(rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return what passed after each milestone, in seconds."""
    told: dict[str, list[float]] = defaultdict(list)
    ours: list[tuple[str, float]] = []
    ask = client.Template.fork

    def fork(*args, **rest):
        ours.append(("the request: descriptors, payload, two packets", time.monotonic()))
        result = ask(*args, **rest)
        ours.append(("the packet: to the spare", time.monotonic()))
        return result

    client.Template.fork = fork
    async with Warden.open() as warden:
        for number in range(rounds + 5):
            ours.clear()
            ours.append(("launch(): kernelspec, rendezvous, connection file", time.monotonic()))
            env = {"MOORAGE_TIMELINE": str(folder)}
            async with moorage.launch(fork=True, warden=warden, env=env) as kernel:
                ready = time.monotonic()
                await kernel.execute("1 + 1")
                ended = time.monotonic()
                pid = kernel.process.pid
            theirs = json.loads((folder / f"{pid}.json").read_text())
            if number >= 5:
                enter(told, ours, theirs, ready, ended)
            await asyncio.sleep(0.2)  # until the next spare is warm: this measures latency, not throughput
    return told


def enter(
    told: dict[str, list[float]],
    ours: list[tuple[str, float]],
    theirs: list[list],
    ready: float,
    ended: float,
) -> None:
    """Enter one start: after each milestone, the time to the next."""
    seen: set[str] = set()
    line = [one for one in [*ours, *map(tuple, theirs)] if not (one[0] in seen or seen.add(one[0]))]
    line.append(("launch() returns, execute() is called", ready))
    line.append(("", ended))
    line.sort(key=lambda one: one[1])
    for (name, at), (_, after) in itertools.pairwise(line):
        told[name].append(after - at)
    told["ALL"].append(ended - line[0][1])


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rounds", nargs="?", type=int, default=50)
    options = parser.parse_args()
    source = Path(key.__file__).parents[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(source, folder, dirs_exist_ok=True)
        with (folder / "ipykernel_patches/forked.py").open("a") as forked:
            forked.write(NOTES)
        key.__file__ = str(folder / "template/key.py")  # next to which the template is looked for
        told = asyncio.run(measured(options.rounds, folder))
    print("| from here to the next line | ms (median) | p90 |\n|---|---|---|")
    for name, seconds in told.items():
        label = "**launch to first result**" if name == "ALL" else name
        p90 = sorted(seconds)[int(0.9 * len(seconds))]
        print(f"| {label} | {1000 * statistics.median(seconds):.1f} | {1000 * p90:.1f} |")


if __name__ == "__main__":
    main()
