"""Rendering many notebooks and one, cached and cold, beside what people use today: whole processes, one run.

    python -m bench.render_speed [--notebooks 40] [--at-once 8] [--repeat 3] [--cached 200]

Every repetition runs all programs once, one after the other, in an order that turns, so that a busy or a warm
machine meets all of them; ratios are of the same repetition, and medians of those are told. make, papermill
and nbmake get what they need to run at their best: the kernel named, bytecode of every package in place.
Writes bench/results/render_speed.json and bench/figures.md. Exit code 0 when every target was met.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import BIN, HERE, Run, machine, median, run, table, write_notebooks, write_results

PY = sys.executable
LIMIT = 900.0
OWN, OWN_TEXT = "moorage render (.ipynb)", "moorage render (.py)"

# Runs moorage as its own program does, and writes down what the process itself used.
_SELF = """
import resource, sys
from moorage.cli.main import main
code = main(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_SELF)
open(sys.argv[1], "w").write(str(used.ru_utime + used.ru_stime))
sys.exit(code)
"""


@dataclass
class Contender:
    """One way to do it.

    Attributes:
        name: for the table.
        once: does it once, whole.
        runs: what came of it.
    """

    name: str
    once: Callable[[], Run]
    runs: list[Run] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        return [each.seconds for each in self.runs]

    @property
    def cpu(self) -> list[float]:
        return [each.cpu for each in self.runs]


def interleave(contenders: list[Contender], repeat: int) -> None:
    """Run all of them, ``repeat`` times, in an order that turns."""
    for turn in range(repeat):
        shift = turn % len(contenders)
        for one in contenders[shift:] + contenders[:shift]:
            ended = one.once()
            if ended.code != 0:
                raise SystemExit(f"{one.name} ended with {ended.code}:\n{ended.output[-3000:]}")
            one.runs.append(ended)
            print(f"  {one.name}: {ended.seconds:.2f} s, {ended.cpu:.2f} s of CPU", flush=True)


def ratios(slow: Contender, fast: Contender) -> list[float]:
    """Return how many times as long ``slow`` took, repetition by repetition."""
    return [a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)]


class Bench:
    """The folder it works in, and the ways to render it."""

    def __init__(self, folder: Path, count: int, at_once: int) -> None:
        self.folder = folder
        self.at_once = at_once
        self.count = count
        write_notebooks(folder / "py", count, "py")
        write_notebooks(folder / "ipynb", count, "ipynb")
        write_notebooks(folder / "one", 1, "ipynb")
        write_notebooks(folder / "onepy", 1, "py")
        (folder / "Makefile").write_text(
            "all: $(patsubst py/%.py,out-make/%.ipynb,$(wildcard py/*.py))\n"
            "out-make/%.ipynb: py/%.py\n"
            "\tjupytext --quiet --set-kernel python3 --to ipynb --execute --output $@ $<\n"
        )

    def run(self, *argv: str | Path, env: dict[str, str] | None = None) -> Run:
        return run(argv, cwd=self.folder, env=env, limit=LIMIT)

    def fresh(self, name: str) -> str:
        """Return a folder for outputs, made anew."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / name).mkdir()
        return name

    def moorage(self, source: str, *flags: str, made: int) -> Run:
        out = self.fresh(f"out-{source}".replace("/", "-"))
        told = self.run(BIN / "moorage", "render", source, "-o", out, "--quiet", *flags)
        return self.checked(told, out, made)

    def checked(self, ended: Run, out: str, made: int) -> Run:
        """Refuse a run that did not write what it should have."""
        found = len(list((self.folder / out).rglob("*.ipynb")))
        if ended.code == 0 and found != made:
            raise SystemExit(f"{found} notebooks in {out} instead of {made}:\n{ended.output}")
        return ended

    def make(self) -> Run:
        out = self.fresh("out-make")
        return self.checked(self.run("make", f"-j{self.at_once}", "all"), out, self.count)

    def nbmake(self) -> Run:
        out = self.fresh("out-nbmake")
        shutil.copytree(self.folder / "ipynb", self.folder / out, dirs_exist_ok=True)
        workers = ["-n", str(self.at_once)]
        return self.run(PY, "-m", "pytest", "-q", "--nbmake", "--overwrite", *workers, out)

    def nbclient(self) -> Run:
        out = self.fresh("out-nbclient")
        sources = sorted((self.folder / "ipynb").iterdir())
        return self.checked(
            self.run(PY, HERE / "one_process.py", str(self.at_once), out, *sources), out, self.count
        )

    def own_cpu(self, source: str, jobs: int) -> float:
        """Return the CPU seconds of the moorage process alone."""
        told = self.folder / "used"
        flags = ["-j", str(jobs), "--no-cache", "--quiet"]
        ended = self.run(PY, "-c", _SELF, told, "render", source, "-o", self.fresh("out-self"), *flags)
        if ended.code != 0:
            raise SystemExit(ended.output)
        return float(told.read_text())

    def bare(self) -> dict[str, float]:
        ended = self.run(PY, HERE / "bare_kernel.py")
        return json.loads(ended.output.splitlines()[-1])


def many(bench: Bench, repeat: int) -> list[Contender]:
    """Many notebooks, some at once."""
    flags = ["-j", str(bench.at_once), "--no-cache"]
    contenders = [
        Contender(OWN_TEXT, lambda: bench.moorage("py", *flags, made=bench.count)),
        Contender(OWN, lambda: bench.moorage("ipynb", *flags, made=bench.count)),
        Contender("one process of nbclient (.ipynb)", bench.nbclient),
        Contender(f"make -j{bench.at_once}, jupytext --execute (.py)", bench.make),
    ]
    if importlib.util.find_spec("nbmake") and importlib.util.find_spec("xdist"):
        contenders.append(Contender(f"pytest --nbmake -n {bench.at_once} (.ipynb)", bench.nbmake))
    interleave(contenders, repeat)
    return contenders


def one(bench: Bench, repeat: int) -> tuple[list[Contender], list[dict[str, float]]]:
    """One notebook, cold; the bare kernel's start between."""
    notebook, text = "one/n000.ipynb", "onepy/n000.py"
    to_file = ["--to", "notebook", "--execute", "--output-dir", "out-one"]
    bares: list[dict[str, float]] = []

    def bare() -> Run:
        told = bench.bare()
        bares.append(told)
        return Run(told["ran"], float("nan"), 0, "")

    contenders = [
        Contender("bare kernel, until its first cell has run", bare),
        Contender(OWN, lambda: bench.moorage(notebook, "--no-cache", made=1)),
        Contender(OWN_TEXT, lambda: bench.moorage(text, "--no-cache", made=1)),
        Contender(
            "jupyter nbconvert --execute", lambda: bench.run("jupyter", "nbconvert", *to_file, notebook)
        ),
        Contender(
            "jupytext --execute (.py)",
            lambda: bench.run(
                *("jupytext", "--quiet", "--set-kernel", "python3", "--to", "ipynb", "--execute"),
                *("--output", "out-text.ipynb", text),
            ),
        ),
        Contender(
            "papermill", lambda: bench.run("papermill", "--no-progress-bar", notebook, "out-mill.ipynb")
        ),
        Contender("pytest --nbmake", lambda: bench.run(PY, "-m", "pytest", "-q", "--nbmake", notebook)),
    ]
    interleave(contenders, repeat)
    return contenders, bares


def quick(bench: Bench, cached: int) -> list[Contender]:
    """Starts of the program, and a tree that has not changed."""
    write_notebooks(bench.folder / "many", cached, "ipynb")
    filled = bench.run(
        BIN / "moorage", "render", "many", "-o", "out-many", "--quiet", "-j", str(bench.at_once)
    )
    if filled.code != 0:
        raise SystemExit(filled.output)
    contenders = [
        Contender(
            f"{cached} cached notebooks",
            lambda: bench.run(BIN / "moorage", "render", "many", "-o", "out-many", "--quiet"),
        ),
        Contender("moorage --help", lambda: bench.run(BIN / "moorage", "--help")),
        Contender("python -c 'import moorage'", lambda: bench.run(PY, "-c", "import moorage")),
        Contender("python -c pass", lambda: bench.run(PY, "-c", "pass")),
    ]
    interleave(contenders, 9)
    return contenders


def judge(name: str, figure: float, target: float, *, least: bool = False) -> dict[str, object]:
    """Return one target and whether it was met."""
    met = figure >= target if least else figure <= target
    return {"what": name, "figure": round(figure, 3), "target": target, "least": least, "met": met}


def main() -> int:
    """Run everything, print and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notebooks", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--cached", type=int, default=200)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        bench = Bench(folder, options.notebooks, options.at_once)
        single, bares = one(bench, 2 * options.repeat + 1)
        batch = many(bench, options.repeat)
        starts = quick(bench, options.cached)
        parent = [bench.own_cpu("ipynb", options.at_once) for _ in range(options.repeat)]
        alone = [bench.own_cpu("one/n000.ipynb", 1) for _ in range(options.repeat)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    share = median(parent) / options.notebooks
    more = (median(parent) - median(alone)) / (options.notebooks - 1) if options.notebooks > 1 else share
    _, own, _, convert, *_ = single
    over = [seconds - bare["ran"] for seconds, bare in zip(own.seconds, bares, strict=True)]
    verdicts = [
        judge(
            f"make -j{options.at_once} with jupytext takes so many times as long",
            median(ratios(batch[3], batch[0])),
            12,
            least=True,
        ),
        judge("of the time of one process of nbclient", median(ratios(batch[1], batch[2])), round(1 / 3, 3)),
        judge("one notebook: of the time of nbconvert --execute", median(ratios(own, convert)), 0.6),
        judge("one notebook: seconds beyond the bare kernel's first cell", median(over), 0.35),
        judge(f"{options.cached} cached notebooks, seconds", median(starts[0].seconds), 0.5),
        judge("moorage --help, seconds", median(starts[1].seconds), 0.15),
        judge(
            "import moorage, seconds beyond the interpreter's",
            median(starts[2].seconds) - median(starts[3].seconds),
            0.06,
        ),
        judge("CPU of the moorage process for each notebook, start included, seconds", share, 0.03),
    ]
    content = {
        "command": " ".join(["python -m bench.render_speed", *sys.argv[1:]]),
        "machine": machine(),
        "one": told(single),
        "many": told(batch),
        "starts": told(starts),
        "bare kernel": bares,
        "parent cpu": {"many": parent, "one": alone, "each": share, "each further": more},
        "targets": verdicts,
    }
    write_results("render_speed", content)
    page = figures(content, options.notebooks, options.at_once)
    (HERE / "figures.md").write_text(page)
    print(page)
    return 0 if all(verdict["met"] for verdict in verdicts) else 1


def told(contenders: list[Contender]) -> dict[str, dict[str, list[float]]]:
    """Return the bare figures."""
    return {one.name: {"seconds": one.seconds, "cpu": one.cpu} for one in contenders}


def figures(content: dict, count: int, at_once: int) -> str:
    """Return the page that the README takes its tables from."""
    parts = [
        f"Made by `{content['command']}` (part of `make bench`) on {content['machine']}.",
        "Whole processes, medians of interleaved repetitions; CPU is that of everything started.",
        "JupyterLab is installed in the same environment, as it is for most people.",
    ]
    sections = ["\n".join(parts)]
    for key, title, first in (
        ("many", f"{count} notebooks of four small cells, {at_once} at once", OWN_TEXT),
        ("one", "One such notebook, cold", OWN),
        ("starts", "Starts", "moorage --help"),
    ):
        timed = content[key]
        base = timed[first]["seconds"]
        rows = [
            [
                name,
                f"{median(each['seconds']):.2f}",
                "" if math.isnan(median(each["cpu"])) else f"{median(each['cpu']):.2f}",
                f"{median([a / b for a, b in zip(each['seconds'], base, strict=True)]):.2f}",
            ]
            for name, each in timed.items()
        ]
        columns = ["", "seconds", "CPU s", "ratio"]
        if key == "starts":
            rows, columns = (
                [[row[0], f"{1000 * median(timed[row[0]]['seconds']):.0f} ms"] for row in rows],
                ["", "time"],
            )
        sections.append(f"**{title}**\n\n" + table(columns, rows))
    verdicts = [
        [
            str(each["what"]),
            f"{each['figure']:g}",
            f"{'at least' if each['least'] else 'at most'} {each['target']:g}",
            "yes" if each["met"] else "no",
        ]
        for each in content["targets"]
    ]
    sections.append("**Targets**\n\n" + table(["what", "figure", "target", "met"], verdicts))
    cpu = content["parent cpu"]
    sections.append(
        f"CPU of the moorage process alone: {median(cpu['one']):.2f} s for one notebook, "
        f"{1000 * cpu['each further']:.0f} ms for each further one."
    )
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    sys.exit(main())
