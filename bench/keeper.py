"""What a keeper costs: the time of a start, of an answer and of an end, and its memory.

    python -m bench.keeper [--repeat 30]

Every charge is a sleeping `sleep`. Memory is PSS and what is private, of `/proc/PID/smaps_rollup`; this
process is of the same interpreter, as a launcher or a Jupyter server would be, and shares its pages.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from moorage.keeper.kept import Kept
from moorage.keeper.process import record
from moorage.keeper.start import start


def memory(kept: Kept) -> tuple[int, int]:
    """Return PSS and private dirty KiB of a keeper."""
    found = record.read(str(kept.directory))
    assert found is not None
    text = Path(f"/proc/{found['keeper']['pid']}/smaps_rollup").read_text()
    rows = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return rows["Pss:"], rows["Private_Dirty:"]


async def main(repeat: int) -> None:
    """Start, ask and end so many keepers, and print what each took."""
    times: dict[str, list[float]] = {"start": [], "answer": [], "end": []}

    async def timed(what: str, work):
        begun = time.perf_counter()
        result = await work
        times[what].append(time.perf_counter() - begun)
        return result

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        many = []
        for number in range(repeat):
            kept = await timed("start", start(["sleep", "1000"], directory=Path(folder)))
            await timed("answer", kept.status())
            many.append(kept)
            if number == 0:
                pss, private = memory(kept)
                print(f"one keeper: {pss / 1024:.1f} MiB PSS, {private / 1024:.1f} MiB of it private")
        found = [memory(each) for each in many]
        print(f"one of {repeat}: {statistics.mean(pss for pss, _ in found) / 1024:.1f} MiB PSS")
        for kept in many:
            await timed("end", kept.end(0))
    for what, seconds in times.items():
        print(f"{what}: {1000 * statistics.median(seconds):.0f} ms (median of {repeat})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=30)
    asyncio.run(main(parser.parse_args().repeat))
