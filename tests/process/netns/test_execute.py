"""A command executed in a process's place; in a namespace too in tests/cli/test_isolate.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

RUN = "import sys; from moorage.process.netns.execute import execute; execute(sys.argv[1:])"


def executed(*command, **rest):
    return subprocess.run(
        [sys.executable, "-c", RUN, *command], capture_output=True, timeout=60, check=False, **rest
    )


def test_the_environment_is_the_one_this_process_was_started_with():
    env = {"LANG": "C", "EMPTY": "", "PATH": os.environ["PATH"]}
    done = executed("env", "-0", env=env)
    found = dict(entry.split(b"=", 1) for entry in done.stdout.split(b"\0") if entry)
    assert found == {key.encode(): value.encode() for key, value in env.items()}


def test_sockets_are_closed_and_pipes_stay():
    reading, writing = os.pipe()
    inside, outside = socket.socketpair()
    with inside, outside:
        numbers = [inside.fileno(), writing]
        words = [f"/proc/self/fd/{number}" for number in numbers]
        done = executed(
            "sh", "-c", 'for each; do test -e "$each"; echo $?; done', "sh", *words, pass_fds=numbers
        )
    os.close(reading)
    os.close(writing)
    assert done.stdout.split() == [b"1", b"0"]


def test_a_script_without_a_first_line_is_the_shells(tmp_path):
    script = tmp_path / "plain"
    script.write_text('echo "got $1"\n')
    script.chmod(0o755)
    assert executed(script, "a  b").stdout == b"got a  b\n"


def test_what_cannot_be_executed_raises(tmp_path):
    done = executed(tmp_path / "nothing")  # in a process of its own: it closes descriptors, and sets signals
    assert b"FileNotFoundError" in done.stderr
