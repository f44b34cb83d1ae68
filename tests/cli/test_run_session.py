"""A run whose output is not read, or no more: the code goes on, nothing is lost, and it can be ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command import DEADLINE, Command, until

pytestmark = pytest.mark.real

LINES = "".join(f"{n:07}" * 1000 + "\n" for n in range(40))
FILLS = """
import pathlib, time
for n in range(40): print(f"{n:07}" * 1000, flush=True)
pathlib.Path("full").touch()
"""
SLEEPS = FILLS + "while True: time.sleep(0.1)\n"


@contextmanager
def beside_a_full_pipe(
    moorage: Command, code: str, *, both: bool
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run code that writes more than a pipe takes; yields when it has written all of it."""
    reading, writing = os.pipe()
    try:
        streams = {"stdout": writing, "stderr": writing if both else subprocess.PIPE}
        process = moorage.start("run", "python3", "-c", code, **streams)
        os.close(writing)
        assert until(Path(moorage.cwd, "full").exists, DEADLINE)
        yield process, reading
    finally:
        os.close(reading)


@pytest.mark.parametrize("both", [False, True], ids=["stdout", "both"])
def test_a_reader_that_comes_late_gets_everything(moorage: Command, both: bool):
    with beside_a_full_pipe(moorage, FILLS, both=both) as (process, reading):
        assert process.poll() is None
        with os.fdopen(reading, "rb", closefd=False) as reader:
            assert reader.read().decode() == LINES
        moorage.ended(process, code=0)


@pytest.mark.parametrize("code", [FILLS, SLEEPS], ids=["ended", "goes-on"])
@pytest.mark.parametrize(("signum", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_one_signal_ends_it(moorage: Command, code: str, signum: int, exit_code: int):
    with beside_a_full_pipe(moorage, code, both=True) as (process, _):
        process.send_signal(signum)
        assert process.wait(DEADLINE) == exit_code
        assert until(lambda: not moorage.left()), moorage.left()


def test_what_is_said_of_a_death_comes_after_the_output(moorage: Command):
    dies = FILLS + "import os; os._exit(3)"
    with beside_a_full_pipe(moorage, dies, both=True) as (process, reading):
        with os.fdopen(reading, "rb", closefd=False) as reader:
            told = reader.read().decode()
        moorage.ended(process, code=1)
    output, _, last = told.rpartition("error: ")
    assert LINES.startswith(output)  # a kernel that exits at once may keep its last line
    assert last == "the kernel died: exit code 3 (E-DIED).\n"


def test_a_reader_that_leaves_ends_it(moorage: Command):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader:
        process = moorage.start("run", "python3", "-c", SLEEPS, stdout=writing)
        os.close(writing)
        assert reader.read(7) == b"0" * 7
    moorage.ended(process, code=1)


def test_the_error_in_the_json_has_no_colours(moorage: Command):
    done = moorage("run", "python3", "-c", "1 / 0", "--json", code=1)
    error = json.loads(done.stdout)["cells"][0]["error"]
    assert error["ename"] == "ZeroDivisionError"
    assert any("1 / 0" in line for line in error["traceback"])
    assert "\x1b" not in str(error["traceback"])


def test_the_json_says_that_there_was_no_kernel(moorage: Command):
    folder = moorage.cwd / "share" / "kernels" / "broken"
    folder.mkdir(parents=True)
    spec = {"argv": ["/no/such", "{connection_file}"], "display_name": "broken", "language": "none"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    moorage.env["JUPYTER_PATH"] = str(moorage.cwd / "share")
    told = json.loads(moorage("run", "broken", "-c", "1", "--json", code=1).stdout)
    assert (told["status"], told["cells"], told["died"]) == ("failed", [], None)
    assert "there is no program '/no/such'" in told["failed"]
