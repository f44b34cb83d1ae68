"""Floods of output, and how much a long computation loses, beside the kernel itself and its own client.

    python -m bench.output_flood [--seconds 20] [--repeat 3]

- 100,000 lines and a 50 MB payload: `moorage render` writes a notebook with both; every line and every byte
  must be in the file. Time: from the request until all output is here, beside the kernel's own time, which is
  what the kernel says it is: from its `busy` to its `idle`, by the dates it stamps on both.
- 20,000 display messages, in turn, in processes of their own: each from a kernel that it launched itself;
  each from a spawned ipykernel, which makes only some 4,000 a second and is the limit of both (one whose
  client leaves it a second core is even slower: its two threads then fight for the interpreter's lock); and
  as many from a process that only publishes what was prepared. Losses are told.
- A computation of --seconds: `moorage render` of a notebook and the same code as a script, in turn. The code
  times itself; whole processes are told beside.

Writes bench/results/output_flood.json. Exit code 0 when every target was met.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from bench.measure import BIN, HERE, machine, median, notebook, run, table, write_results

LINES, PAYLOAD, DISPLAYS = 100_000, 50_000_000, 20_000
KINDS = ("own", "kernel", "recording")
PY = sys.executable

STREAM = f"for number in range({LINES}):\n    print('line', number)"
DISPLAY = f"display({{'text/plain': 'x' * {PAYLOAD}}}, raw=True)"
MANY = f"for number in range({DISPLAYS}):\n    display({{'text/plain': str(number)}}, raw=True)"

# A fixed amount of work; ROUNDS is chosen so that it takes as long as asked for.
COMPUTE = """
import time
began, used = time.perf_counter(), time.process_time()
total = 0
for round in range(ROUNDS):
    for number in range(100_000):
        total = (total * 31 + number) % 1_000_003
print("computed", time.perf_counter() - began, time.process_time() - used)
"""


async def flood(code: str) -> dict[str, float]:
    """Run a cell through moorage's client; return its time and the kernel's own."""
    from moorage.kernel.launch import launch
    from moorage.wire.messages import Message

    dates: dict[str, str] = {}

    def receive(message: Message) -> None:
        if message.msg_type == "status":
            dates[str(message.content["execution_state"])] = str(message.header.date)

    async with launch("python3") as kernel:
        await kernel.execute("1")
        result = await kernel.execute(code, receive=receive)
    own = datetime.fromisoformat(dates["idle"]) - datetime.fromisoformat(dates["busy"])
    size = sum(len(str(output.get("text", output.get("data")))) for output in result.outputs)
    return {"moorage": result.seconds, "kernel": own.total_seconds(), "size": size}


def floods(repeat: int) -> dict[str, list[dict[str, float]]]:
    """Run both floods, in turn."""
    told: dict[str, list[dict[str, float]]] = {"lines": [], "payload": []}
    for _ in range(repeat):
        told["lines"].append(asyncio.run(flood(STREAM)))
        told["payload"].append(asyncio.run(flood(DISPLAY)))
    return told


def complete(folder: Path) -> dict[str, object]:
    """Render a notebook with both floods; look at every line and byte in the file."""
    source, out = folder / "flood.ipynb", folder / "flooded.ipynb"
    source.write_text(notebook([STREAM, DISPLAY]))
    ended = run(
        [BIN / "moorage", "render", source, "-o", out, "--no-cache", "--quiet"], cwd=folder, limit=600
    )
    if ended.code != 0:
        return {"lines": False, "payload": False, "seconds": ended.seconds, "said": ended.output}
    lines, payload = (cell["outputs"] for cell in json.loads(out.read_text())["cells"])
    expected = "".join(f"line {number}\n" for number in range(LINES))
    return {
        "lines": len(lines) == 1 and "".join(lines[0]["text"]) == expected,
        "payload": len(payload) == 1 and "".join(payload[0]["data"]["text/plain"]) == "x" * PAYLOAD,
        "seconds": ended.seconds,
        "said": ended.output,
    }


def displays(folder: Path, repeat: int) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """Return messages per second and losses of both clients, from a kernel and from a recording."""
    told: dict[str, list[float]] = {}
    lost: dict[str, list[int]] = {}
    for turn in range(repeat):
        kinds = [(who, what) for what in KINDS for who in ("moorage", "jupyter_client")]
        for who, what in kinds[turn % 2 :] + kinds[: turn % 2]:
            command = [PY, HERE / "display_clients.py", who, what, str(DISPLAYS), MANY]
            ended = run(command, cwd=folder, limit=120)
            got = {"displays": 0, "seconds": math.inf}  # it hung, having lost the message that ends the flood
            if ended.code == 0:
                got = json.loads(ended.output.splitlines()[-1])
            told.setdefault(f"{who} from a {what}", []).append(got["displays"] / got["seconds"])
            lost.setdefault(f"{who} from a {what}", []).append(DISPLAYS - got["displays"])
    return told, lost


def compute(folder: Path, seconds: float, repeat: int) -> dict[str, list[float]]:
    """Time the same computation as a script and in a notebook."""
    (folder / "probe.py").write_text(COMPUTE.replace("ROUNDS", "40"))
    _, probe = computed(run([PY, "probe.py"], cwd=folder, limit=300).output)
    code = COMPUTE.replace("ROUNDS", str(max(1, round(40 * seconds / probe))))
    (folder / "compute.py").write_text(code)
    (folder / "compute.ipynb").write_text(notebook([code]))
    told: dict[str, list[float]] = {"script": [], "notebook": [], "whole script": [], "whole notebook": []}
    render = [BIN / "moorage", "render", "compute.ipynb", "-o", "computed.ipynb", "--no-cache", "--quiet"]
    for turn in range(repeat):
        for which in ("script", "notebook") if turn % 2 else ("notebook", "script"):
            command = render if which == "notebook" else [PY, "compute.py"]
            ended = run(command, cwd=folder, limit=10 * seconds + 300)
            text = ended.output
            if which == "notebook":
                text = "".join(
                    json.loads((folder / "computed.ipynb").read_text())["cells"][0]["outputs"][0]["text"]
                )
            seconds_of_code, cpu_of_code = computed(text)
            told[which].append(seconds_of_code)
            told.setdefault(f"cpu of the code, {which}", []).append(cpu_of_code)
            told[f"whole {which}"].append(ended.seconds)
    return told


def computed(output: str) -> tuple[float, float]:
    """Return what the code said of itself: seconds, and the CPU seconds of its process meanwhile."""
    seconds, cpu = output.split("computed")[1].split()
    return float(seconds), float(cpu)


def main() -> int:
    """Run everything; print and write what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of the computation")
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="flood-"))
    try:
        whole = complete(folder)
        timed = floods(options.repeat)
        rates, lost = displays(folder, options.repeat)
        long = compute(folder, options.seconds, options.repeat)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    times = {name: median([one["moorage"] / one["kernel"] for one in each]) for name, each in timed.items()}
    faster = {
        what: median(rates[f"moorage from a {what}"]) / median(rates[f"jupyter_client from a {what}"])
        for what in KINDS
    }
    kept = not any(sum(lost[f"moorage from a {what}"]) for what in KINDS)
    pairs = zip(long["notebook"], long["script"], strict=True)
    loss = median([a / b - 1 for a, b in pairs])
    work = zip(long["cpu of the code, notebook"], long["cpu of the code, script"], strict=True)
    cpu_loss = median([a / b - 1 for a, b in work])
    both = zip(long["whole notebook"], long["whole script"], strict=True)
    whole_loss = median([a / b - 1 for a, b in both])
    rows = [
        [
            "every line and byte in the file",
            f"{whole['lines']} {whole['payload']}",
            "all",
            bool(whole["lines"] and whole["payload"]),
        ],
        [
            "100,000 lines: of the kernel's own time",
            f"{times['lines']:.2f}",
            "at most 2",
            times["lines"] <= 2,
        ],
        [
            "50 MB payload: of the kernel's own time",
            f"{times['payload']:.2f}",
            "at most 2",
            times["payload"] <= 2,
        ],
        [
            "20,000 displays, each from its own kernel: of jupyter_client's rate",
            f"{faster['own']:.2f}",
            "at least 2",
            faster["own"] >= 2,
        ],
        [
            "20,000 displays from a kernel: of jupyter_client's rate",
            f"{faster['kernel']:.2f}",
            "told: the kernel sets the pace",
            True,
        ],
        ["displays lost by moorage", "none" if kept else "some", "none", kept],
        [
            "20,000 displays recorded: of jupyter_client's rate",
            f"{faster['recording']:.2f}",
            "at least 2",
            faster["recording"] >= 2,
        ],
        [
            f"{options.seconds:g} s of computing: time lost in the code",
            f"{100 * loss:.1f} %",
            "at most 2 %",
            loss <= 0.02,
        ],
        [
            f"{options.seconds:g} s of computing: CPU lost in the code",
            f"{100 * cpu_loss:.1f} %",
            "told",
            True,
        ],
        [f"{options.seconds:g} s of computing: whole processes", f"{100 * whole_loss:.1f} %", "told", True],
    ]
    print(table(["what", "figure", "target", "met"], [[*row[:3], "yes" if row[3] else "no"] for row in rows]))
    for name, each in rates.items():
        print(f"{name}: {median(each):.0f} messages/s, lost {lost[name]}")
    content = {
        "command": sys.argv,
        "machine": machine(),
        "complete": whole,
        "floods": timed,
        "displays": rates,
        "lost": lost,
        "compute": long,
    }
    write_results("output_flood", content)
    return 0 if all(row[3] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
