"""Starts of one kernel under a port storm, in a process of their own.

    python -m moorage.testing.storm JOB RESULT

A thief binds port 0 in a loop meanwhile, keeps each port for a moment and lets it go: an address that was
chosen and let go is soon the thief's. JOB and RESULT are files of JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from time import monotonic

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import MoorageError
from moorage.json_types import JsonMapping, JsonObject
from moorage.kernel.launch import launch

_AT_ONCE = 2
_THIEF = """
import collections, os, socket, time
held, parent = collections.deque(), os.getppid()
while os.getppid() == parent:
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", 0))
        held.append(one)
    except OSError:
        one.close()
    if len(held) > 40:
        held.popleft().close()
    time.sleep(0.001)
"""


@dataclass(frozen=True)
class Storm:
    """The results of many starts under a port storm.

    Attributes:
        seconds: of each that ended well, from its launch until it was ready.
        ways: how often each rendezvous was used.
        failures: the errors of the others.
    """

    seconds: tuple[float, ...]
    ways: Mapping[str, int]
    failures: tuple[str, ...]


def job_of(spec: KernelSpec, starts: int) -> JsonObject:
    """Return the job of a storm, as JSON."""
    described = {each.name: getattr(spec, each.name) for each in fields(spec) if each.name != "activation"}
    described |= {
        "resource_dir": str(spec.resource_dir) if spec.resource_dir else None,
        "env": dict(spec.env),
    }
    # The kernel type of an environment is found again by its name.
    return {"spec": None if spec.activation else described, "name": spec.kernel_type, "starts": starts}


async def start_in_storm(spec: KernelSpec, starts: int) -> Storm:
    """Start a kernel many times while ports are stolen, two at a time.

    Args:
        spec: the kernel type.
        starts: how often.

    Returns:
        The results. Cancelling ends what was started.
    """
    seconds: list[float] = []
    ways: Counter[str] = Counter()
    failures: list[str] = []
    left = iter(range(starts))

    async def one_after_another() -> None:
        for _ in left:
            began = monotonic()
            try:
                async with launch(spec, fork=False) as kernel:
                    seconds.append(monotonic() - began)
                    ways[kernel.rendezvous] += 1
            except MoorageError as error:
                failures.append(str(error))

    with _thief():
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(one_after_another())
    return Storm(tuple(seconds), dict(ways), tuple(failures))


def spec_of(job: JsonMapping) -> KernelSpec:
    """Return the kernel type a job names."""
    described = job["spec"]
    if described is None:
        from moorage.discovery.finder import find  # noqa: PLC0415 - only where a name is all there is

        return find(str(job["name"]))
    folder = described["resource_dir"]
    whole = {**described, "argv": tuple(described["argv"]), "resource_dir": Path(folder) if folder else None}
    return KernelSpec(**whole)


@contextmanager
def _thief() -> Iterator[None]:
    thief = subprocess.Popen(
        [sys.executable, "-c", _THIEF],
        stdin=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        thief.kill()
        thief.wait()


def main(job: Path, result: Path) -> None:
    """Read a job, carry it out, and write its result."""
    content = json.loads(job.read_text())
    storm = asyncio.run(start_in_storm(spec_of(content), content["starts"]))
    done = {"seconds": storm.seconds, "ways": storm.ways, "failures": storm.failures}
    result.write_text(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
