"""The command as a user types it: a process of its own, and a look at what it left behind."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from witness import stacks

DEADLINE = 120.0
"""Seconds a command may take on a machine that is busy with other things."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def notebooks(self) -> dict[str, dict[str, Any]]:
        """What ``--json -`` said, by source."""
        return {each["source"]: each for each in json.loads(self.stdout)["notebooks"]}

    @property
    def statuses(self) -> dict[str, str]:
        return {name: each["status"] for name, each in self.notebooks.items()}


WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""Tests that run at once share no history: where its database is locked, IPython says so in an output."""


class Command:
    """Runs ``python -m moorage`` with a runtime directory and a mark of its own."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.mark = secrets.token_hex(8)
        self.runtime = Path(tempfile.mkdtemp(prefix="mt-", dir="/tmp"))
        self.env = {key: value for key, value in os.environ.items() if not _disturbs(key)}
        self.env |= {
            "MOORAGE_TEST_RUN": self.mark,
            "XDG_RUNTIME_DIR": str(self.runtime),
            "IPYTHONDIR": str(self.runtime.parent / f"moorage-tests-ipython{WORKER}"),
            "MPLBACKEND": "agg",
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: object, **rest: Any) -> subprocess.Popen[bytes]:
        """Start it; the caller ends it."""
        return self.launch([sys.executable, "-m", "moorage", *map(str, arguments)], **rest)

    def launch(
        self,
        argv: list[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        **rest: Any,
    ) -> subprocess.Popen[bytes]:
        """Start any program with this environment."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        given |= {"stderr": subprocess.PIPE, **rest}
        # As under a shell: Ctrl-C is not ignored, and reaches this process only.
        process = subprocess.Popen(
            argv, cwd=cwd or self.cwd, env={**self.env, **(env or {})}, start_new_session=True, **given
        )
        self._started.append(process)
        return process

    def __call__(self, *arguments: object, code: int | None = None, **rest: Any) -> Done:
        """Run it and wait; ``code`` is the exit code it must have."""
        return self.ended(self.start(*arguments, **rest), code=code)

    def ended(self, process: subprocess.Popen[bytes], *, code: int | None = None) -> Done:
        """Wait for a started one."""
        try:
            stdout, stderr = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            doing = stacks(marked(self.mark))
            process.send_signal(signal.SIGKILL)
            stdout, stderr = process.communicate()
            raise AssertionError(f"it did not end: {_text(stdout)} {_text(stderr)}\n{doing}") from None
        done = Done(process.returncode, _text(stdout), _text(stderr))
        said = f"\n{done.stdout}\n--- stderr\n{done.stderr}"
        for sign in (
            "moorage/notebooks/",
            "moorage/cli/",
            "Exception ignored",
            "never retrieved",
            "Task exception",
        ):
            assert sign not in done.stderr, said
        if code is not None:
            assert done.code == code, said
        return done

    def left(self) -> list[str]:
        """Return what is still there of all that was started: processes and private directories."""
        processes = [f"process {pid}: {_words(pid)}" for pid in marked(self.mark)]
        return processes + [str(path) for path in self.runtime.iterdir()]

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        try:
            assert until(lambda: not self.left()), f"left behind: {self.left()}"
        finally:
            shutil.rmtree(self.runtime, ignore_errors=True)


@contextmanager
def typed_in(folder: Path) -> Iterator[Command]:
    """Yield a command for a folder; afterwards nothing may be left of it."""
    command = Command(folder)
    try:
        yield command
    finally:
        command.close()


def until(true: Any, seconds: float = 15.0) -> bool:
    """Look until something is true that no event announces; False when it never was."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def marked(mark: str) -> list[int]:
    """Return the living processes whose environment carries a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if f"MOORAGE_TEST_RUN={mark}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def script(*cells: str) -> str:
    """Return a script in the percent format."""
    return "\n\n".join(f"# %%\n{cell}" for cell in cells) + "\n"


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def printed(notebook: Path) -> str:
    """Return all stream text of a rendered notebook."""
    cells = json.loads(notebook.read_bytes())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join("".join(output.get("text", "")) for output in outputs)


def _disturbs(key: str) -> bool:
    return key in {
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "NO_COLOR",
        "FORCE_COLOR",
        "DISPLAY",
    } or key.startswith(("GITHUB_", "OMP_", "MOORAGE_", "JPY_", "OPENBLAS_"))


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")
