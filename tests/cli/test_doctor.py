"""``moorage doctor``: what it prints, and its exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import sys

import pytest

from command import Command

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="launching needs Linux"),
]


def test_it_prints_a_line_for_each_and_sums_up(moorage: Command):
    done = moorage("doctor", code=0)
    lines = done.stdout.splitlines()
    assert lines[0] == "The machine"
    assert "Kernel types" in lines
    assert re.fullmatch(r"\d+ ok(, \d+ warn)?", lines[-1])
    assert any(re.match(r"ok    launching +processes start and end", line) for line in lines)
    assert any(re.match(r"ok    python3 +.*ipc", line) for line in lines)
    assert "\033" not in done.stdout


def test_json_is_one_document(moorage: Command):
    document = json.loads(moorage("doctor", "--json", code=0).stdout)
    assert {each["level"] for each in document["findings"]} <= {"ok", "warn"}
    native = next(each for each in document["kernels"] if each["about"] == "python3")
    assert (native["rendezvous"], native["level"], native["seconds"]) == ("ipc", "ok", None)


def test_a_kernel_that_does_not_start_is_a_failure(moorage: Command):
    folder = moorage.cwd / "share" / "kernels" / "broken"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-c", "raise SystemExit('no licence')", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Broken", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    env = {"JUPYTER_PATH": str(moorage.cwd / "share"), "JUPYTER_DATA_DIR": "/nowhere"}
    done = moorage("doctor", "--start", "--json", env=env, code=1)
    broken = next(each for each in json.loads(done.stdout)["kernels"] if each["about"] == "broken")
    assert broken["level"] == "fail"
    assert "no licence" in broken["says"]


def test_a_long_name_stands_apart_from_what_is_said_of_it(moorage: Command):
    folder = moorage.cwd / "share" / "kernels" / "a-very-long-name"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Long", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    done = moorage("doctor", env={"JUPYTER_PATH": str(moorage.cwd / "share")})
    assert re.search(r"^ok    a-very-long-name Long, ", done.stdout, re.MULTILINE)


def test_a_terminal_gets_colours_and_no_line_is_too_long(moorage: Command):
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = moorage.start("doctor", stdout=theirs, env={"TERM": "xterm"})
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # how Linux says that the terminal's other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "\033[32mok\033[0m" in text
    plain = re.sub(r"\033\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= 80
