"""The public suites of jupyter_client, nbclient and jupyter_kernel_test, on the stock stack and on moorage.

    python -m bench.public_suites [--suite NAME]... [--arm stock|moorage]... [--folder DIR]

It makes a virtual environment in DIR (default ``.venv-suites``), fetches the sources of the released versions
from PyPI, unchanged, and runs their own tests as they are: once as it is, once with nothing but
``JUPYTER_DEFAULT_PROVISIONER_NAME=moorage``. What passes on one and not on the other is listed. Exit code 0
when moorage passes at least what the stock stack passes. A quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from bench.measure import HERE, machine, table, write_results

VERSIONS = {"jupyter_client": "8.10.0", "nbclient": "0.11.0"}
PACKAGES = [
    *("jupyter_client[test]==8.10.0", "nbclient[test]==0.11.0"),
    *("jupyter_kernel_test==0.7.0", "ipykernel==7.4.0"),
]
ARMS = {"stock": {}, "moorage": {"JUPYTER_DEFAULT_PROVISIONER_NAME": "moorage"}}
LIMIT = 1800.0
"""Seconds one suite may take."""

CLIENT_TESTS = ("kernelmanager", "client", "multikernelmanager", "restarter", "manager", "provisioning")


@dataclass(frozen=True)
class Suite:
    """Which tests, and what pytest is told so that they run side by side with the others' plugins."""

    folder: str
    tests: tuple[str, ...]
    options: tuple[str, ...]


SUITES = {
    "jupyter_kernel_test": Suite(
        ".", (str(HERE / "kernel_suite.py"),), ("-p", "no:asyncio", "-c", "/dev/null")
    ),
    "jupyter_client": Suite(
        "jupyter_client-8.10.0",
        tuple(f"tests/test_{name}.py" for name in CLIENT_TESTS),
        ("-p", "no:asyncio", "-o", "log_cli=false"),
    ),
    "nbclient": Suite(
        "nbclient-0.11.0",
        ("tests",),
        (
            *("-p", "no:pytest_jupyter", "-o", "log_cli=false"),
            *("-o", "asyncio_default_fixture_loop_scope=function"),
        ),
    ),
}


def prepare(folder: Path) -> Path:
    """Make the environment and fetch the sources; returns the environment's Python."""
    python = folder / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    env = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    if not python.is_file():
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True, env=env)
    install = [*uv, "pip", "install", "--quiet", "--python", str(python), "-e", str(HERE.parent), *PACKAGES]
    subprocess.run(install, check=True, env=env)
    sources = folder / "sources"
    sources.mkdir(exist_ok=True)
    for name, version in VERSIONS.items():
        if not (sources / f"{name}-{version}").is_dir():
            wanted = ["--no-binary", ":all:", "--no-deps", f"{name}=={version}"]
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(sources), *wanted]
            subprocess.run(pip, check=True)
            with tarfile.open(sources / f"{name}-{version}.tar.gz") as archive:
                archive.extractall(sources, filter="data")
    return python


def outcomes(report: Path) -> dict[str, str]:
    """Return what became of each test."""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag for child in case}
        found[name] = next((kind for kind in ("failure", "error", "skipped") if kind in kinds), "passed")
    return found


def counts(log: str) -> list[str]:
    """Return how many passed, were skipped, failed and met errors, as the last line of pytest's own says."""
    lines = [line for line in log.splitlines() if re.search(r"\d+ \w+.* in [\d.]+s", line)]
    found = {kind: number for number, kind in re.findall(r"(\d+) (passed|skipped|failed|error)", lines[-1])}
    return [found.get(kind, "0") for kind in ("passed", "skipped", "failed", "error")]


def run_one(python: Path, name: str, folder: Path, arm: str) -> dict[str, object]:
    """Run one suite on one arm."""
    report = folder / f"{name}-{arm}.xml"
    suite = SUITES[name]
    log = report.with_suffix(".log")
    report.unlink(missing_ok=True)
    options = ["-q", "-p", "no:cacheprovider", "--color=no", f"--junitxml={report}", *suite.options]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "PYTEST"))}
    env |= {"PATH": f"{python.parent}{os.pathsep}{env['PATH']}", **ARMS[arm]}
    began = time.monotonic()
    with log.open("w") as output:
        subprocess.run(
            [python, "-m", "pytest", *options, *suite.tests],
            cwd=folder / "sources" / suite.folder,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
            check=False,
        )
    return {"arm": arm, "seconds": time.monotonic() - began, "tests": outcomes(report), "log": str(log)}


def main() -> int:
    """Run what is asked for and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", action="append", choices=list(SUITES))
    parser.add_argument("--arm", action="append", choices=list(ARMS))
    parser.add_argument("--folder", type=Path, default=HERE.parent / ".venv-suites")
    options = parser.parse_args()
    folder = options.folder.absolute()
    python = prepare(folder)
    rows, results, worse = [], {}, []
    for name in options.suite or SUITES:
        done = {arm: run_one(python, name, folder, arm) for arm in options.arm or ARMS}
        results[name] = done
        for arm, told in done.items():
            rows.append([name, arm, *counts(Path(told["log"]).read_text()), f"{told['seconds']:.0f}"])
            print(" ".join(rows[-1]), flush=True)
        if len(done) == len(ARMS):
            stock, ours = done["stock"]["tests"], done["moorage"]["tests"]
            for test in sorted(stock.keys() | ours.keys()):
                if stock.get(test) != ours.get(test):
                    print(f"  {test}: stock {stock.get(test)}, moorage {ours.get(test)}")
                    worse += [test] if stock.get(test) == "passed" else []
    write_results("public_suites", {"machine": machine(), "command": sys.argv, "suites": results})
    print(table(["suite", "arm", "passed", "skipped", "failed", "errors", "seconds"], rows))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
