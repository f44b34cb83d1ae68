"""A process that uses moorage, to be killed from outside.

Prints one JSON object when its warden is up, another when its family is complete.
Arguments: kinds of family members; `early` first: prints nothing more and launches at once; `fork`: forks a child that keeps every
descriptor; `forked`: the family is forked from a template, as kernels are.
"""

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path

from moorage.process.base import LaunchSpec
from moorage.process.local import LocalLauncher, Warden

FAMILY = str(Path(__file__).with_name("family.py"))
FORKING = str(Path(__file__).with_name("forking"))
RUN = f"import runpy, sys; del sys.argv[1]; runpy.run_path({FAMILY!r}, run_name='__main__')"


def say(**what):
    print(json.dumps(what), flush=True)


async def main(kinds):
    early = "early" in kinds
    fork = "fork" in kinds
    forked = "forked" in kinds
    kinds = [kind for kind in kinds if kind not in ("early", "fork", "forked")]
    async with Warden.open() as warden:
        half = warden.directory.with_name(warden.directory.name + "-half-written")
        warden.guard(half)
        half.write_text("half")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(warden.directory / "kernel-1"))
        holder = os.fork() if fork else 0
        if fork and holder == 0:
            time.sleep(60)
            os._exit(0)
        say(pid=os.getpid(), warden=warden.pid, directory=str(warden.directory), half=str(half), holder=holder)
        spec = LaunchSpec((sys.executable, FAMILY, *kinds), "/", dict(os.environ))
        if forked:
            argv = (sys.executable, "-m", "ipykernel_launcher", RUN, *kinds)
            spec = LaunchSpec(argv, "/", {**os.environ, "PYTHONPATH": FORKING})
        async with LocalLauncher(warden, fork=forked).launch(spec) as handle:
            while handle.output().count("\n") < len(kinds) + 1:
                await asyncio.sleep(0.01)
            if not early:
                say(family=[int(line.split()[1]) for line in handle.output().splitlines()])
            await handle.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
