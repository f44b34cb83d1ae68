"""How long visitors of ``moorage temp`` wait from the button to the redirect into their server, with spares.

Visitors come in rounds, as many at once as there are spares, each round when all spares are ready again. The
time runs from the request of the button until its answer leads to the server, and to the page that opens
there. Each visitor is one of ``moorage temp load``, and ends its server after that. Needs JupyterLab.

    python -m bench.temp_spares [--spares N] [--rounds N] [--json FILE] [words of moorage temp ...]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import HERE, hear_ctrl_c
from moorage.load.crowd import Crowd, CrowdEnd
from moorage.load.settings import LoadSettings
from moorage.load.steps import Step


async def visit(port: int, visitors: int, times: dict[str, list[float]]) -> None:
    """Have visitors come at once, each with a crowd of its own, so that it has figures of its own."""
    wanted = LoadSettings(f"http://127.0.0.1:{port}/", visitors=1, notebooks=0, stay=0.001)
    crowds = [Crowd(wanted, CrowdEnd()) for _ in range(visitors)]
    async with asyncio.TaskGroup() as group:
        for crowd in crowds:
            group.create_task(crowd.come())
    for crowd in crowds:
        assert not crowd.measures.failures, crowd.measures.failures
        redirect, ready = (crowd.measures.samples[step][0].seconds for step in (Step.BUTTON, Step.READY))
        times["redirect"].append(redirect)
        times["page"].append(redirect + ready)


def measure(spares: int, rounds: int, words: list[str]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"redirect": [], "page": []}
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "moorage", "temp", "--port", "0", "--state", f"{folder}/s"]
        command += ["--spares", str(spares), "--capacity", str(3 * spares), *words]
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=HERE, stdout=file, stderr=file)
        try:
            for number in range(rounds):
                while log.read_text().count("answers") < (number + 1) * spares:
                    assert process.poll() is None, log.read_text()
                    time.sleep(0.1)
                port = int(re.search(r"Open http://[^ ]*:(\d+)/", log.read_text())[1])
                asyncio.run(visit(port, spares, times))
            assert len(times["page"]) == rounds * spares
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spares", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options, words = parser.parse_known_args()
    hear_ctrl_c()
    found = {}
    for name, times in measure(options.spares, options.rounds, words).items():
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        found[name] = {"visitors": len(times), "p50": cuts[49], "p95": cuts[94], "max": max(times)}
        print(f"{name:9}", *(f"{key} {value:.4g}" for key, value in found[name].items()), "seconds")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
