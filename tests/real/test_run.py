"""``moorage run`` with real kernels, as typed."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command import Command, until, write

pytestmark = pytest.mark.real


def test_what_is_printed_arrives_on_its_stream(moorage: Command):
    code = "import os, sys; print('out'); print('err', file=sys.stderr); os.system('echo child'); 6 * 7"
    moorage.env.pop("PYTEST_CURRENT_TEST", None)  # ipykernel reads no child's output where that is set
    done = moorage("run", "python3", "-c", code, code=0)
    assert sorted(done.stdout.split()) == ["42", "child", "out"]  # a child's words come by a way of their own
    assert done.stderr == "err\n"


def test_output_comes_as_it_is_printed(moorage: Command):
    process = moorage.start(
        "run", "python3", "-c", "print('first', flush=True); input()", stdin=subprocess.PIPE
    )
    assert process.stdout.readline() == b"first\n"
    process.stdin.write(b"\n")
    process.stdin.flush()
    moorage.ended(process, code=0)


def test_an_error_is_a_traceback_and_exit_code_1(moorage: Command):
    done = moorage("run", "python3", "-c", "print('before')\n1 / 0", code=1)
    assert done.stdout == "before\n"
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_script_a_notebook_and_standard_input(moorage: Command):
    cells = [
        {"cell_type": "code", "source": source} for source in ("x = 1\nprint(x)", "1 / 0", "print('never')")
    ]
    write(moorage.cwd, {"a.py": "import os\nprint(os.getcwd())\n", "b.ipynb": json.dumps({"cells": cells})})
    assert moorage("run", "python3", "a.py", code=0).stdout == f"{moorage.cwd}\n"
    assert moorage("run", "python3", "a.py", "--cwd", "/", code=0).stdout == "/\n"
    assert moorage("run", "python3", "b.ipynb", code=1).stdout == "1\n"
    process = moorage.start("run", "python3", "-", stdin=subprocess.PIPE)
    process.stdin.write(b"print('typed')\n")
    assert moorage.ended(process, code=0).stdout == "typed\n"


def test_a_question_is_answered_from_standard_input(moorage: Command):
    process = moorage.start("run", "python3", "-c", "print('Hello', input('Who? '))", stdin=subprocess.PIPE)
    process.stdin.write(b"Ada\n")
    assert moorage.ended(process, code=0).stdout == "Who? Hello Ada\n"
    assert "there is none" in moorage("run", "python3", "-c", "input()", code=1).stderr


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--timeout", "1"), "input('Who? ')", "did not end within 1 s"),
        (
            (),
            "import os, threading; threading.Timer(0.5, os.kill, (os.getpid(), 9)).start(); input('Who? ')",
            "the kernel died: killed by SIGKILL",
        ),
    ],
    ids=["deadline", "death"],
)
def test_a_question_ends_with_the_deadline_and_with_the_kernel(moorage: Command, flags, code, said):
    reading, writing = os.pipe()  # held open: an answer might still come
    try:
        done = moorage.ended(moorage.start("run", "python3", *flags, "-c", code, stdin=reading), code=1)
    finally:
        os.close(reading)
        os.close(writing)
    assert said in done.stderr


def test_json_is_one_document(moorage: Command):
    done = moorage("run", "python3", "--json", "-c", "print(1)\n2", code=0)
    told = json.loads(done.stdout)
    assert (told["status"], told["died"], len(told["cells"])) == ("ok", None, 1)
    assert [each["output_type"] for each in told["cells"][0]["outputs"]] == ["stream", "execute_result"]
    told = json.loads(moorage("run", "python3", "--json", "-c", "1/0", code=1).stdout)
    assert (told["status"], told["cells"][0]["error"]["ename"]) == ("error", "ZeroDivisionError")
    told = json.loads(moorage("run", "python3", "--json", "-c", "import os; os._exit(3)", code=1).stdout)
    assert told["status"] == "died"
    assert "exit code 3" in told["died"]


def test_a_death_is_told_with_its_cause(moorage: Command):
    done = moorage("run", "python3", "-c", "import os; os.kill(os.getpid(), 11)", code=1)
    assert "killed by SIGSEGV (E-DIED)" in done.stderr


def test_the_time_is_over(moorage: Command):
    done = moorage("run", "python3", "--timeout", "0.5", "-c", "import time; time.sleep(600)", code=1)
    assert "did not end within 0.5 s (E-DEADLINE)" in done.stderr
    stubborn = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"
    done = moorage("run", "python3", "--timeout", "0.5", "-c", stubborn, code=1)
    assert "E-DEADLINE" in done.stderr


# Naps: Python sees a signal that comes just before a sleep only after it.
SLEEPS = """
import time
try:
    print('on', flush=True)
    while True: time.sleep(0.1)
finally:
    print('tidied')
"""


def test_the_first_interrupt_is_for_the_code(moorage: Command):
    process = moorage.start("run", "python3", "-c", SLEEPS)
    assert process.stdout.readline() == b"on\n"
    process.send_signal(signal.SIGINT)
    done = moorage.ended(process, code=130)
    assert done.stdout == "tidied\n"
    assert "KeyboardInterrupt" in done.stderr


def test_the_second_interrupt_is_for_the_kernel(moorage: Command):
    stubborn = """
import time
word = 'on'
while True:
    try:
        while True:
            if word: print(word, flush=True)
            word = None
            time.sleep(0.1)
    except KeyboardInterrupt:
        word = 'no'
"""
    process = moorage.start("run", "python3", "-c", stubborn)
    for line in (b"on\n", b"no\n"):
        assert process.stdout.readline() == line
        process.send_signal(signal.SIGINT)
    moorage.ended(process, code=130)
    assert until(lambda: not moorage.left()), moorage.left()


def test_an_interrupt_while_it_asks(moorage: Command):
    """In a terminal, where the reading itself is what Ctrl-C ends."""
    primary, secondary = pty.openpty()
    try:
        argv = [
            sys.executable,
            "-m",
            "moorage",
            "run",
            "python3",
            "-c",
            "print('on', flush=True); input('Who? ')",
        ]
        process = moorage.launch(argv, stdin=secondary, stdout=secondary)
        os.close(secondary)
        seen = b""
        while b"Who? " not in seen:
            seen += os.read(primary, 1024)
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in moorage.ended(process, code=130).stderr
    finally:
        os.close(primary)


def test_an_interrupt_before_there_is_a_kernel(moorage: Command):
    argv = ["sh", "-c", "sleep 600"]
    content = json.dumps({"argv": argv, "display_name": "slow", "language": "none"})
    write(moorage.cwd / "share" / "kernels" / "slow", {"kernel.json": content})
    process = moorage.start("run", "slow", "-c", "1", env={"JUPYTER_PATH": str(moorage.cwd / "share")})
    assert until(lambda: any(moorage.runtime.glob("*/*/*.json")))
    process.send_signal(signal.SIGINT)
    moorage.ended(process, code=130)


def test_in_a_kernel_that_runs_already(moorage: Command):
    from moorage import blocking

    with blocking.launch("python3") as kernel:
        file = str(kernel.connection_file)
        assert moorage("run", "--existing", file, "-c", "x = 5; print(x)", code=0).stdout == "5\n"
        assert moorage("run", "--existing", file, "-c", "x", code=0).stdout == "5\n"
        done = moorage("run", "--existing", file, "--start-timeout", "0.0001", "-c", "x", code=1)
        assert "did not answer within 0.0001 s" in done.stderr
        process = moorage.start("run", "--existing", file, "-c", SLEEPS)
        assert process.stdout.readline() == b"on\n"
        process.send_signal(signal.SIGINT)
        moorage.ended(process, code=130)
        assert kernel.execute("x").outputs[0]["data"]["text/plain"] == "5"
        process = moorage.start("run", "--existing", file, "-c", SLEEPS)
        assert process.stdout.readline() == b"on\n"
        kernel.process._handle.send_signal(signal.SIGKILL)
        assert "killed by SIGKILL" in moorage.ended(process, code=1).stderr


def test_a_name_nothing_has(moorage: Command):
    done = moorage("run", "pyhton3", "-c", "1", code=1)
    assert "Did you mean python3" in done.stderr


@pytest.mark.parametrize(
    ("name", "code", "shown"),
    [
        ("xpython", "print(1)", "1\n"),
        ("ir", "cat('1\\n')", "1\n"),
        ("bash", "echo 1", "1\n"),
        ("deno", "for (let i = 0; i < 2000; i++) console.log(i)", "".join(f"{n}\n" for n in range(2000))),
        ("octave", "disp(1)", "1\n"),
    ],
)
def test_other_kernels(moorage: Command, name: str, code: str, shown: str):
    from moorage.discovery.kernelspec import names

    if name not in names():
        pytest.skip(f"there is no {name} here")
    env = {"DENO_DIR": str(Path(moorage.runtime).parent / "moorage-tests-deno")}
    assert moorage("run", name, "-c", code, code=0, env=env).stdout.splitlines() == shown.splitlines()


def test_a_script_has_its_own_arguments(moorage: Command):
    write(moorage.cwd, {"a.py": "import sys; print(sys.argv)"})
    assert moorage("run", "python3", "a.py", code=0).stdout == "['a.py']\n"
    typed = ("--start-timeout", "50", "python3", "a.py", "x", "--", "--lr=1")
    assert moorage("run", *typed, code=0).stdout == "['a.py', 'x', '--lr=1']\n"


def test_a_kernel_that_does_not_start_in_time(moorage: Command):
    done = moorage("run", "python3", "-c", "1", "--start-timeout", "0.001", code=1)
    assert "0.001 s" in done.stderr
