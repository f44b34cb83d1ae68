"""The first and the second signal, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os
from moorage.notebooks.signals import heard

async def main():
    stopped = asyncio.Event()

    def first(name):
        print("first", name, flush=True)
        stopped.set()

    # Not by print: the signal may come while that one is at work.
    with heard(first, lambda: os.write(1, b"second\\n")):
        print("ready", flush=True)
        await stopped.wait()
        print("goes on", flush=True)
        {then}
    print("out", flush=True)

asyncio.run(main())
"""


def started(then):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(then=then)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_told_by_name_and_the_program_goes_on(kind):
    process = started("pass")
    process.send_signal(kind)
    assert process.communicate(timeout=60)[0] == f"first {kind.name}\ngoes on\nout\n"
    assert process.returncode == 0


@pytest.mark.parametrize("then", ["await asyncio.Event().wait()", "import time; time.sleep(600)"])
def test_the_second_has_its_say_and_ends_the_process_also_where_the_loop_is_held_up(then):
    process = started(then)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "first SIGINT\n"
    assert process.stdout.readline() == "goes on\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "second\n"
    assert process.returncode == -signal.SIGTERM
