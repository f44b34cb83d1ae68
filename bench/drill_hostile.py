"""A hostile pull request, another user and stopped parts: nothing is written, deleted, believed or hung.

    python -m bench.drill_hostile [--limit 120]

Three acts. A *pull request*: a tree whose documents, configuration, cache, git settings and file names are
made to do harm is rendered, the output laid wherever it hurts. *Another user* (root plays the victim): uid
65534 plants configurations, environments, pipes and private directories where a render or a look at
kernels passes. *Stopped parts*: a notebook stops or kills the process above its kernel.

A case fails when a file that is not the run's own changed or went, when the mark that a planted program would
leave is there, when a sequence that a terminal or a runner obeys was printed, when there is a traceback of
ours, or when the command did not end within --limit seconds. Exit code 0 when no case failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import BIN, environment, machine, notebook, table, write_results

STRANGER = 65534
HARM = "HARM-DONE"
"""A file of this name is what a planted program leaves."""
OBEYED = ("\x1b]", "\n::error::owned", "\n##[group]owned", "\x1b[2J")
"""What a terminal or a runner would obey."""


@dataclass
class Stage:
    """Where a case is played.

    Attributes:
        folder: what the case may write to.
        kept: files that must stay as they are, with their digests.
        limit: seconds a command may take.
    """

    folder: Path
    limit: float
    kept: dict[Path, str] = field(default_factory=dict)
    printed: str = ""
    codes: list[int] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def write(self, name: str, text: str | bytes, *, keep: bool = False) -> Path:
        """Write a file of the case; ``keep``: it must stay as it is."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        if keep:
            self.keep(path)
        return path

    def keep(self, path: Path) -> None:
        """Note that a file must stay as it is."""
        self.kept[path] = _digest(path)

    def run(self, *words: object, cwd: str = "", codes: tuple[int, ...] = (0, 1, 2)) -> str:
        """Run the command; one that does not end in time, or in another way than it may, is found."""
        command = [str(BIN / "moorage"), *map(str, words)]
        env = {**environment(), "HARM": str(self.folder / HARM), "TMPDIR": str(self.folder / "tmp")}
        (self.folder / "tmp").mkdir(exist_ok=True)
        try:
            done = subprocess.run(
                command,
                cwd=self.folder / cwd,
                env=env,
                capture_output=True,
                timeout=self.limit,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            self.found.append(f"{' '.join(command[1:])} did not end")
            return ""
        text = "\n" + (done.stdout + b"\n" + done.stderr).decode(errors="replace")
        self.printed += text
        self.codes.append(done.returncode)
        if done.returncode not in codes:
            self.found.append(f"exit code {done.returncode}: {text[-500:]}")
        return text

    def judge(self) -> list[str]:
        """Return what was wrong."""
        found = list(self.found)
        for path, digest in self.kept.items():
            if not path.is_file():
                found.append(f"{path.name} has gone")
            elif _digest(path) != digest:
                found.append(f"{path.name} was written over")
        if (self.folder / HARM).exists():
            found.append("a planted program ran")
        found += [f"printed {text!r}" for text in OBEYED if text in self.printed]
        if "site-packages/moorage" in self.printed or "src/moorage" in self.printed:
            found.append(f"a traceback of ours: {self.printed[-800:]}")
        return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


Case = Callable[[Stage], None]
CASES: dict[str, list[Case]] = {"pull request": [], "another user": [], "stopped parts": []}


def case(act: str) -> Callable[[Case], Case]:
    """Add a case to an act."""

    def add(function: Case) -> Case:
        CASES[act].append(function)
        return function

    return add


# -- the pull request ------------------------------------------------------------------------------

HELLO = "# %%\nprint('hello')\n"


@case("pull request")
def outputs_over_sources(stage: Stage) -> None:
    """Outputs whose place is a source or a page written by hand."""
    stage.write("a/notes.md", "# Notes\n\n```python\n1 + 1\n```\n", keep=True)
    stage.write("a/intro.py", HELLO, keep=True)
    stage.write("a/intro.md", "# By hand\n", keep=True)
    stage.write("a/n.ipynb", notebook(["1"]), keep=True)
    stage.write("a/site/index.html", "<h1>By hand</h1>", keep=True)
    for words in (
        ["notes.md", "--to", "md", "-o", "."],
        ["notes.md", "-o", "notes.md"],
        ["intro.py", "--to", "md", "-o", "."],
        ["n.ipynb", "--json", "n.ipynb"],
        ["n.ipynb", "--report", "n.ipynb"],
        ["n.ipynb", "--junit", "notes.md"],
        ["n.ipynb", "--bundle", "notes.md"],
        ["n.ipynb", "--to", "html", "-o", "site"],
    ):
        stage.run("render", *words, cwd="a")


@case("pull request")
def links_out_of_the_output_folder(stage: Stage) -> None:
    """An output folder in which links lead to the user's files and folders."""
    victim = stage.write("home/keys", "secret", keep=True)
    stage.write("a/n.py", HELLO)
    (stage.folder / "a/out").mkdir()
    (stage.folder / "a/out/n.ipynb").symlink_to(victim)
    (stage.folder / "a/out/n.html").symlink_to(victim)
    (stage.folder / "a/rendered").symlink_to(victim.parent)
    stage.run("render", "n.py", "--to", "ipynb,html", "-o", "out", cwd="a")
    stage.run("render", ".", cwd="a")
    if list(victim.parent.iterdir()) != [victim]:
        stage.found.append("outputs went through a link")


@case("pull request")
def a_planted_cache(stage: Stage) -> None:
    """A cache with links to the user's folders, forged records, and the project itself named as a cache."""
    stage.write("home/documents/thesis", "words", keep=True)
    stage.write("a/n.py", HELLO, keep=True)
    stage.write("a/.gitignore", "own\n", keep=True)
    cache = stage.folder / "a/.moorage/cache"
    cache.mkdir(parents=True)
    for name in ("blobs", "recipes", "runs", "tmp"):
        (cache / name).symlink_to(stage.folder / "home/documents")
    stage.run("render", "n.py", cwd="a")
    for name in ("blobs", "recipes", "runs", "tmp"):
        if (cache / name).is_symlink():
            (cache / name).unlink()
    record = json.dumps({"documents": {"ipynb": ["../../../home/documents/thesis", 1]}, "artifacts": []})
    for room in ("recipes", "runs"):
        for digest in ("0" * 64, "../../home/documents/thesis"):
            stage.write(f"a/.moorage/cache/{room}/{digest.replace('/', '_')}", record)
    stage.run("render", "n.py", cwd="a")
    stage.run("render", "n.py", "--cache", ".", cwd="a")


@case("pull request")
def texts_that_terminals_obey(stage: Stage) -> None:
    """File names, errors and metadata with commands of terminals and runners in them."""
    esc = "\x1b]0;owned\x07\x1b[2J"
    stage.write("a/x\n::error::owned\n.py", HELLO)
    stage.write(
        "a/bad.py",
        f"# %%\nraise type('E\\n::error::owned', (Exception,), {{}})({esc!r} + '\\n##[group]owned')",
    )
    made = json.loads(notebook(["1"]))
    made["metadata"][esc] = 1
    made["metadata"]["kernelspec"]["name"] = f"no{esc}such"
    stage.write("a/meta.ipynb", json.dumps(made))
    stage.write("b/moorage.toml", f'[render]\n"col{chr(0x85)}our" = 1\n')
    stage.write("b/n.py", HELLO)
    os.environ["GITHUB_ACTIONS"] = "true"
    os.environ["GITHUB_STEP_SUMMARY"] = str(stage.folder / "summary")
    try:
        stage.run("render", ".", "-o", "../out", cwd="a")
        stage.run("render", "n.py", "--kernel", f"no{esc}such", cwd="b")
        stage.run("kernels", "show", f"no{esc}such")
    finally:
        del os.environ["GITHUB_ACTIONS"], os.environ["GITHUB_STEP_SUMMARY"]


@case("pull request")
def bombs(stage: Stage) -> None:
    """Documents and configuration that take for ever, or all memory, when they are read without bounds."""
    stage.write(
        "a/cells.ipynb",
        json.dumps(
            {
                **json.loads(notebook([])),
                "nbformat_minor": 5,
                "cells": [{"cell_type": "markdown", "metadata": {}, "source": "same"} for _ in range(20_000)],
            }
        ),
    )
    stage.write("a/percent.py", "# %%\n" * 50_000)
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    stage.write("a/yaml.md", f"---\n{bomb}---\n\ntext\n")
    stage.write("a/deep.ipynb", '{"cells":' + "[" * 100_000)
    stage.write(
        "a/line.py",
        "# %%\nraise type('E', (Exception,), {})('line ' + '9' * 5000 + ' \\x1b[' + '9' * 5000 + 'm')",
    )
    stage.write("a/fine.py", HELLO)
    stage.write("a/declared.py", HELLO)
    stage.write(
        "a/moorage.toml",
        '[render]\nartifacts = ["**/**/**/**/**/**/**/**/*x"]\n'
        '[notebook."declared.py"]\noutputs = ["*a*a*a*a*a*a*b"]\n',
    )
    text = stage.run("render", ".", "-o", "../out", cwd="a")
    if not (stage.folder / "out/fine.ipynb").is_file():
        stage.found.append(f"a good document was lost beside bad ones: {text[-600:]}")


@case("pull request")
def pipes_and_devices(stage: Stage) -> None:
    """Pipes and devices where files are expected."""
    for name in ("moorage.toml", "timings.json", "data", "module.py", "n.ipynb"):
        (stage.folder / "a").mkdir(exist_ok=True)
        os.mkfifo(stage.folder / "a" / name)
    (stage.folder / "a/zero.png").symlink_to("/dev/zero")
    stage.write("a/n.py", "# ![](zero.png)\n\n" + HELLO)
    stage.run("render", "n.py", "--to", "html", "-o", "../out", cwd="a")
    (stage.folder / "a/moorage.toml").unlink()
    stage.write("a/moorage.toml", '[notebook."n.py"]\ninputs = ["data", "/", "zero.png", "module.py"]\n')
    stage.run("render", ".", "--to", "html", "--timeout", "20", "-o", "../out", cwd="a")


@case("pull request")
def git_settings(stage: Stage) -> None:
    """A repository whose settings name programs."""
    stage.write("a/n.py", HELLO)
    program = stage.write("a/evil", '#!/bin/sh\n: > "$HARM"\n')
    program.chmod(0o755)
    subprocess.run(["git", "init", "-q"], cwd=stage.folder / "a", check=True)
    for name in ("core.fsmonitor", "core.pager", "core.sshCommand", "diff.external", "core.hooksPath"):
        value = str(program.parent if name == "core.hooksPath" else program)
        subprocess.run(["git", "config", name, value], cwd=stage.folder / "a", check=True)
    stage.run("render", ".", "-o", "../out", "--report", "../out/report.html", cwd="a", codes=(0,))


@case("pull request")
def attachments_with_names(stage: Stage) -> None:
    """Attachments and artefacts whose names lead elsewhere."""
    victim = stage.write("home/keys", "secret", keep=True)
    made = json.loads(notebook(["1"]))
    png = {"image/png": "iVBORw0KGgo="}
    made["cells"].append(
        {
            "cell_type": "markdown",
            "id": "m",
            "metadata": {},
            "source": "![x](attachment:x)",
            "attachments": {str(victim): png, "../../home/keys": png, "x": png},
        }
    )
    stage.write("a/n.ipynb", json.dumps(made))
    stage.run("render", "n.ipynb", "--to", "md,html,ipynb", "-o", "out", cwd="a")


# -- another user ----------------------------------------------------------------------------------


def as_stranger(stage: Stage, script: str) -> None:
    """Run a shell script as another user, in the folder that everybody may write to."""
    subprocess.run(
        ["sh", "-c", script], cwd=stage.folder / "shared", user=STRANGER, group=STRANGER, check=True
    )


@contextmanager
def shared(stage: Stage) -> Iterator[Path]:
    """Make a folder like /tmp."""
    folder = stage.folder / "shared"
    folder.mkdir()
    for path in (stage.folder, folder):
        path.chmod(0o1777 if path is folder else 0o755)
    yield folder


@case("another user")
def configuration_above(stage: Stage) -> None:
    """A configuration, an environment and a pipe above the project, in a folder like /tmp."""
    victim = stage.write("home/.bashrc", "own", keep=True)
    with shared(stage) as folder:
        as_stranger(
            stage,
            f"""
            printf '[render]\\nreport = "{victim}"\\n' > moorage.toml
            printf '[render.env]\\nPYTHONPATH = "%s"\\n' "$PWD" >> moorage.toml
            printf '[tool.moorage.render]\\nreport = "{victim}"\\n' > pyproject.toml
            mkdir -p .venv/bin; printf '#!/bin/sh\\n: > "{stage.folder}/{HARM}"\\n' > .venv/bin/python
            chmod 755 .venv/bin/python; printf 'open("{stage.folder}/{HARM}", "w")\\n' > sitecustomize.py
            chmod 666 moorage.toml pyproject.toml""",
        )
        stage.write("shared/project/n.py", HELLO)
        stage.run("render", "n.py", cwd="shared/project")
        stage.run("render", "n.py", "--kernel", "env/.venv", cwd="shared/project")
        stage.run("kernels", "list", cwd="shared/project")
        as_stranger(stage, "rm moorage.toml pyproject.toml; mkfifo moorage.toml pyproject.toml")
        stage.run("render", "n.py", cwd="shared/project")
        stage.run("kernels", "list", cwd="shared/project")
        assert folder.is_dir()


@case("another user")
def private_directories(stage: Stage) -> None:
    """Private directories of another user that hold links, pipes and text that terminals obey."""
    victim = stage.write("home/keys", '{"shell_port": "\x1b]0;owned\x07"}', keep=True)
    victim.chmod(0o600)
    names = ["mr-planted1", "mr-planted2"]
    script = "cd /tmp && for d in mr-planted1 mr-planted2; do mkdir -p $d/k; chmod -R 777 $d; done; "
    script += f"ln -s {victim} mr-planted1/k/kernel.json; mkfifo mr-planted2/k/kernel.json; "
    script += (
        'mkdir mr-planted2/l; printf \'{"kernel_name": "\\033]0;owned\\007"}\' > mr-planted2/l/kernel.json'
    )
    with shared(stage):
        try:
            as_stranger(stage, script)
            text = stage.run("kernels", "ps", codes=(0,))
            if "planted" in text:
                stage.found.append("kernels ps shows what another user planted")
            stage.run("kernels", "stop", "mr-planted1")
        finally:
            for name in names:
                shutil.rmtree(f"/tmp/{name}", ignore_errors=True)


# -- stopped parts ---------------------------------------------------------------------------------

ABOVE = """
import os, signal, time
def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
def template():
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if "template" in words and parent(pid) in (os.getppid(), parent(os.getppid())):
            found.append(int(pid))
    return found
"""


def _tree(stage: Stage, attack: str) -> None:
    for number in range(6):
        stage.write(f"a/n{number}.py", "# %%\nimport time\ntime.sleep(0.5)\nprint('hello')\n")
    stage.write("a/attack.py", "# %%" + ABOVE + attack)
    text = stage.run("render", ".", "-j", "2", "-o", "../out", "--no-cache", cwd="a", codes=(0, 1))
    done = [n for n in range(6) if (stage.folder / f"out/n{n}.ipynb").is_file()]
    if text and len(done) < 6:
        stage.found.append(f"{len(done)} of 6 other notebooks were written: {text[-600:]}")


@case("stopped parts")
def a_stopped_warden(stage: Stage) -> None:
    """A notebook stops the warden."""
    _tree(stage, "os.kill(os.getppid(), signal.SIGSTOP)\n")


@case("stopped parts")
def a_killed_warden(stage: Stage) -> None:
    """A notebook kills the warden."""
    _tree(stage, "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)\n")


@case("stopped parts")
def a_stopped_template(stage: Stage) -> None:
    """A notebook stops the template and what it has forked ahead."""
    _tree(stage, "for pid in template(): os.kill(pid, signal.SIGSTOP)\n")


def main() -> int:
    """Play all acts and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=120, help="seconds for one command")
    parser.add_argument("--case", help="only this one")
    options = parser.parse_args()
    rows, results = [], []
    for act, cases in CASES.items():
        if act == "another user" and os.geteuid() != 0:
            print("another user: left out, for only root can be another user, too")
            continue
        for play in cases:
            if options.case not in (None, play.__name__):
                continue
            folder = Path(tempfile.mkdtemp(prefix="drill-hostile-", dir="/tmp"))
            stage = Stage(folder, options.limit)
            began = time.monotonic()
            try:
                play(stage)
                found = stage.judge()
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            seconds = time.monotonic() - began
            rows.append([act, play.__name__, f"{seconds:.1f}", "; ".join(found) or "held"])
            results.append({"act": act, "case": play.__name__, "seconds": seconds, "found": found})
            print(*rows[-1], sep=" | ", flush=True)
    write_results("drill_hostile", {"machine": machine(), "command": sys.argv, "cases": results})
    print(table(["act", "case", "seconds", "found"], rows))
    return 1 if any(each["found"] for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
