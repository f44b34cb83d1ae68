"""Run a folder of documents through moorage and through nbclient, and compare cell by cell.

    python bench/corpora.py FOLDER... [-j N] [--only GLOB]... [--skip GLOB]... [--cell-timeout S]
                            [--allow-errors] [--json FILE] [--keep DIR]

Each tool gets a fresh copy of the folder, runs every document in the folder it stands in, with the same
kernel and without a cache. Texts are converted by jupytext for nbclient. Compared are: how the notebook
ended, every cell's source, execution count and outputs. What differs from run to run of one tool is made
equal first: addresses, times, temporary paths, ids, the bytes of pictures (their size counts). nbclient
joins the streams of a cell by name across displays, moorage keeps them where they stood: both are joined
before they are compared, and a cell whose order differs is counted apart ("order"). Where a cell differs,
nbclient runs the document a second time: cells in which it differs from itself are "random". Written
notebooks are validated by nbformat, and those made from notebooks must be the source but for outputs,
execution counts, kernelspec, language_info and widgets. Exit code 1 when a notebook ends differently or a
cell differs.
"""

from __future__ import annotations

import argparse
import base64
import difflib
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

_NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_EQUAL = [
    (re.compile(r"\x1b\[[0-9;?]*[A-Za-z]"), ""),
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b"), "0xADDRESS"),
    (re.compile(r"\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"ipykernel_\d+/\d+\.py"), "CELL.py"),
    (re.compile(r"/tmp/[\w./-]+"), "TMP"),
    (re.compile(rf"{_NUMBER} ?(?:ns|us|[µμ]s|ms|seconds|sec|s|min)\b(?: {_NUMBER} ?\w?s\b)?"), "TIME"),
    (re.compile(r"TIME ± TIME per loop \(mean ± std\. dev\. of \d+ runs?, [\d,]+ loops? each\)"), "TIMEIT"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?"), "DATE"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "CLOCK"),
    (re.compile(r"\b[pm][0-9a-f]{10}\b"), "SVG-ID"),
    (re.compile(r"sk-container-id-\d+|sk-estimator-id-\d+"), "SK-ID"),
]  # fmt: skip


@dataclass
class Comparison:
    """One document, run by both."""

    name: str
    moorage: str
    nbclient: str
    cells: int = 0
    differing: list[str] = field(default_factory=list)
    random: list[str] = field(default_factory=list)
    order: int = 0
    problems: list[str] = field(default_factory=list)
    neither: str = ""
    seconds: tuple[float, float] = (0.0, 0.0)

    @property
    def same_end(self) -> bool:
        return self.moorage == self.nbclient


def shown(text: str) -> str:
    """What a terminal would show of a stream: overwritten and taken back text is gone."""
    while "\x08" in text:
        shorter = re.sub(r"[^\n]\x08", "", text)
        if shorter == text:
            break
        text = shorter
    return re.sub(r"[^\n]*\r(?=[^\n])", "", text)


def normal(text: str, roots: list[str]) -> str:
    """``text`` without what differs from run to run."""
    for root in roots:
        text = text.replace(root, "DIR")
    for pattern, by in _EQUAL:
        text = pattern.sub(by, text)
    return text


def picture(data: str) -> str:
    """A PNG's size in pixels."""
    head = base64.b64decode(data[:64])[:24]
    if head[:4] != b"\x89PNG":
        return f"{len(data)} bytes"
    width, height = struct.unpack(">II", head[16:24])
    return f"PNG {width}x{height}"


def normal_bundle(data: dict[str, Any], roots: list[str]) -> dict[str, str]:
    found = {}
    for mime, value in data.items():
        if isinstance(value, list):
            text = "".join(value)
        else:
            text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        if mime.startswith("image/") and mime != "image/svg+xml":
            found[mime] = picture(text)
        else:
            found[mime] = normal(text, roots)
    return found


def normal_outputs(outputs: list[dict[str, Any]], roots: list[str]) -> tuple[list[str], list[str]]:
    """The outputs as lines to compare: streams joined by name before the rest, and in their order."""
    streams: dict[str, str] = {}
    rest: list[str] = []
    ordered: list[tuple[str, str]] = []
    for output in outputs:
        if output["output_type"] == "stream":
            name, text = output["name"], "".join(output["text"])
            streams[name] = streams.get(name, "") + text
            at = next((i for i in range(len(ordered) - 1, -1, -1) if ordered[i][0] in {name, "other"}), -1)
            if at >= 0 and ordered[at][0] == name:
                ordered[at] = (name, ordered[at][1] + text)
            else:
                ordered.append((name, text))
            continue
        if output["output_type"] == "error":
            trace = normal("\n".join(output["traceback"]), roots)
            line = f"error {output['ename']}: {normal(output['evalue'], roots)}\n{trace}"
        else:
            kind, count = output["output_type"], output.get("execution_count")
            data = normal_bundle(output["data"], roots)
            line = f"{kind} {count} {json.dumps(data, indent=0, ensure_ascii=False, sort_keys=True)}"
            line += f" {json.dumps(output.get('metadata', {}), sort_keys=True)}"
        rest.append(line)
        ordered.append(("other", line))

    def stream(name: str, text: str) -> str:
        return f"{name}: {normal(shown(text), roots)}"

    joined = [stream(name, text) for name, text in sorted(streams.items())] + rest
    return joined, [text if kind == "other" else stream(kind, text) for kind, text in ordered]


def short_diff(ours: list[str], theirs: list[str], limit: int = 12) -> str:
    lines = difflib.unified_diff(
        "\n".join(theirs).split("\n"), "\n".join(ours).split("\n"), "nbclient", "moorage", lineterm="", n=0
    )
    kept = [line[:160] for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join(kept[:limit] + ([f"... {len(kept) - limit} more"] if len(kept) > limit else []))


def compare_cells(found: Comparison, ours: dict[str, Any], theirs: dict[str, Any], roots: list[str]) -> None:
    a, b = ours["cells"], theirs["cells"]
    found.cells = sum(cell["cell_type"] == "code" for cell in b)
    if len(a) != len(b):
        found.problems.append(f"{len(a)} cells, nbclient {len(b)}")
    for number, (mine, other) in enumerate(zip(a, b, strict=False), 1):
        if mine["cell_type"] != other["cell_type"] or "".join(mine["source"]) != "".join(other["source"]):
            found.problems.append(f"cell {number}: another source")
        if mine["cell_type"] != "code" or other["cell_type"] != "code":
            continue
        (joined, order), (joined2, order2) = (
            normal_outputs(cell["outputs"], roots) for cell in (mine, other)
        )
        if joined != joined2:
            found.differing.append(f"cell {number}:\n{short_diff(joined, joined2)}")
        elif order != order2:
            found.order += 1
        if mine["execution_count"] != other["execution_count"]:
            counts = f"{mine['execution_count']}, nbclient {other['execution_count']}"
            found.differing.append(f"cell {number}: execution count {counts}")


def set_apart(found: Comparison, again: dict[str, Any], once: dict[str, Any], roots: list[str]) -> None:
    """Move the cells in which two runs of nbclient differ out of those that differ from moorage's."""
    control = Comparison(found.name, "", "")
    compare_cells(control, again, once, roots)
    moody = {text.partition(":")[0] for text in control.differing}
    found.random = [text for text in found.differing if text.partition(":")[0] in moody]
    found.differing = [text for text in found.differing if text.partition(":")[0] not in moody]


_OURS = ("kernelspec", "language_info", "widgets", "orig_nbformat", "signature")


def bare(notebook: dict[str, Any]) -> Any:
    """A notebook without what rendering may change."""
    cells = []
    for cell in notebook["cells"]:
        kept = {k: v for k, v in cell.items() if k not in {"outputs", "execution_count"}}
        cells.append({**kept, "source": "".join(cell["source"])})
    metadata = {k: v for k, v in notebook["metadata"].items() if k not in _OURS}
    return {**notebook, "cells": cells, "metadata": metadata}


def check_written(found: Comparison, source: Path, written: Path) -> None:
    import nbformat

    text = written.read_text(encoding="utf-8")
    notebook = json.loads(text)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        found.problems.append(f"not valid: {str(error).splitlines()[0]}")
    if source.suffix == ".ipynb":
        original = json.loads(source.read_text(encoding="utf-8"))
        if original.get("nbformat") == 4 and bare(original) != bare(notebook):
            a, b = (json.dumps(bare(n), indent=1, sort_keys=True).split("\n") for n in (notebook, original))
            found.problems.append("more than outputs changed:\n" + short_diff(a, b, 6))


def by_nbclient(source: Path, out: Path, kernel: str, options: argparse.Namespace) -> None:
    """Run one document as nbclient does; a process of its own calls this."""
    import jupytext
    import nbclient
    import nbformat
    from jupyter_client.kernelspec import NoSuchKernel

    read = nbformat.read if source.suffix == ".ipynb" else jupytext.read
    notebook = read(source, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        kernel_name=kernel or notebook.metadata.get("kernelspec", {}).get("name", "python3"),
        timeout=options.cell_timeout,
        resources={"metadata": {"path": str(source.parent)}},
        allow_errors=options.allow_errors,
    )
    raised: list[int] = []

    def note(cell: Any, cell_index: int, **_: Any) -> None:
        if "raises-exception" not in cell.metadata.get("tags", []):
            raised.append(cell_index)

    client.on_cell_error = note
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        if cell.source.strip() and "skip-execution" not in cell.metadata.get("tags", []):
            cell.outputs, cell.execution_count = [], None
    status = "ok"
    try:
        client.execute()
    except nbclient.exceptions.CellTimeoutError:
        status = "timeout"
    except nbclient.exceptions.CellExecutionError:
        status = "failed"
    except nbclient.exceptions.DeadKernelError:
        status = "died"
    except NoSuchKernel:
        status, notebook = "failed", None
    if status == "ok" and options.allow_errors and raised:
        status = "failed"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"status": status, "notebook": notebook}), encoding="utf-8")


def common(options: argparse.Namespace) -> list[str]:
    errors = ["--allow-errors"] if options.allow_errors else []
    return ["--cell-timeout", str(options.cell_timeout), *errors]


def run_nbclient(source: Path, out: Path, kernel: str, options: argparse.Namespace) -> float:
    began = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--one", source, out, kernel, *common(options)]
    # Its kernel may find one of the ports it was given taken: that says nothing of the document.
    for _ in range(3):
        with out.with_suffix(".err").open("wb") as said:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=said, check=False)
        if out.exists():
            break
        print(f"nbclient could not start {source.name}, once more", file=sys.stderr)
    return time.monotonic() - began


def run_moorage(folder: Path, out: Path, options: argparse.Namespace, sources: list[Path]) -> dict[str, Any]:
    report = out.with_suffix(".json")
    command = [sys.executable, "-m", "moorage", "render", *sources, "-o", out, *common(options)]
    command += ["--no-cache", "-j", str(options.jobs), "--retries", "0", "--quiet", "--json", report]
    silent = None if options.verbose else subprocess.DEVNULL
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=silent, cwd=folder.parent, check=False)
    if not report.exists():
        sys.exit(f"moorage did not run {folder}; try --verbose")
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def compare(folder: Path, work: Path, options: argparse.Namespace) -> list[Comparison]:
    """Run the documents of one folder both ways."""
    copies = {who: work / who / folder.name for who in ("moorage", "nbclient")}
    for copy in copies.values():
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".git"))
    root = copies["moorage"]
    sources = [root]
    if options.only or options.skip:
        sources = [path for path in sorted(root.rglob("*")) if path.is_file() and chosen(path, root, options)]
    out = work / f"{folder.name}.out"
    report = run_moorage(root, out, options, sources)
    # What the report calls a source is relative to the documents' common folder.
    rows = []
    for row in report["notebooks"]:
        found = [path for path in root.rglob(Path(row["source"]).name) if path.match(row["source"])]
        rows.append((row, min(found, key=lambda path: len(path.parts))))

    def other(pair: tuple[dict[str, Any], Path]) -> Comparison:
        row, source = pair
        relative = source.relative_to(root)
        theirs = work / "nbclient.out" / folder.name / f"{relative}.json"
        kernel = row["kernel"] or ""  # where moorage knows none nbclient is to look for the document's own
        seconds = run_nbclient(copies["nbclient"] / relative, theirs, kernel, options)
        ended = json.loads(theirs.read_text()) if theirs.exists() else None
        found = Comparison(str(relative), row["status"], ended["status"] if ended else "failed (not run)")
        found.seconds = (row["seconds"], seconds)
        if row["output"] and ended:
            written = root.parent / row["output"]
            notebook = json.loads(written.read_text(encoding="utf-8"))
            roots = [str(copy) for copy in copies.values()]
            compare_cells(found, notebook, ended["notebook"], roots)
            if found.differing:
                again = theirs.with_suffix(".again.json")
                run_nbclient(copies["nbclient"] / relative, again, kernel, options)
                set_apart(found, json.loads(again.read_text())["notebook"], ended["notebook"], roots)
            check_written(found, source, written)
        elif row["output"] or (ended and ended["notebook"]):
            found.problems.append(f"written by one only: {row['error']}")
        else:
            found.nbclient = row["status"]
            found.neither = row["error"]["evalue"][:200]
        return found

    with ThreadPoolExecutor(options.jobs) as pool:
        return list(pool.map(other, rows))


def chosen(path: Path, root: Path, options: argparse.Namespace) -> bool:
    from moorage.notebooks.documents.document import is_document

    name = path.relative_to(root).as_posix()
    if options.only and not any(fnmatchcase(name, glob) for glob in options.only):
        return False
    return not any(fnmatchcase(name, glob) for glob in options.skip) and is_document(path)


def table(rows: list[Comparison]) -> None:
    print(f"{'document':60} {'moorage':8} {'nbclient':9} same cells differ random order  seconds")
    for row in rows:
        same = "yes" if row.same_end else "NO"
        seconds = f"{row.seconds[0]:6.1f} {row.seconds[1]:6.1f}"
        print(
            f"{row.name[-60:]:60} {row.moorage:8} {row.nbclient:9} {same:4} {row.cells:5} "
            f"{len(row.differing):6} {len(row.random):6} {row.order:5} {seconds}"
        )
    for row in rows:
        neither = [f"run by neither: {row.neither}"] if row.neither else []
        for text in (*row.problems, *row.differing, *neither):
            print(f"\n{row.name}: {text}")
    ended, cells = sum(row.same_end for row in rows), sum(row.cells for row in rows)
    differing, random = sum(len(row.differing) for row in rows), sum(len(row.random) for row in rows)
    passed = sum(row.moorage == "ok" for row in rows), sum(row.nbclient == "ok" for row in rows)
    print(
        f"\n{len(rows)} documents: {ended} ended alike; ok with moorage {passed[0]}, "
        f"with nbclient {passed[1]}; {cells} code cells, {differing} differ, {random} are random, "
        f"{sum(row.order for row in rows)} in another order, "
        f"{sum(len(row.problems) for row in rows)} other problems; "
        f"{sum(bool(row.neither) for row in rows)} run by neither"
    )


def main() -> int:
    kept = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kept)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--cell-timeout", type=int, default=120)
    parser.add_argument("--allow-errors", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="work here and leave everything")
    parser.add_argument("--verbose", action="store_true", help="let moorage speak")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        source, out, kernel = options.one
        by_nbclient(Path(source), Path(out), kernel, options)
        return 0
    work = options.keep or Path(tempfile.mkdtemp(prefix="corpora-"))
    try:
        rows = [row for folder in options.folders for row in compare(folder.resolve(), work, options)]
    finally:
        if options.keep is None:
            shutil.rmtree(work, ignore_errors=True)
    table(rows)
    if options.json:
        options.json.write_text(json.dumps([vars(row) for row in rows], indent=1))
    return int(any(not row.same_end or row.differing or row.problems for row in rows))


if __name__ == "__main__":
    sys.exit(main())
