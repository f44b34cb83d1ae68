"""The warden's children; most of it is tried through the warden in test_local."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mooring.launch import children, warden_process

FORGET = """
import json, os, select, signal, sys
sys.path.append({folder!r})
import children
told = []
signal.signal(signal.SIGINT, signal.SIG_IGN)
brood = children.Children(lambda tell, **rest: told.append((tell, rest)))
def launch(name, *argv):
    payload = os.memfd_create("x")
    os.write(payload, json.dumps(dict(argv=argv, cwd="/", env=dict(PATH=os.environ["PATH"]))).encode())
    brood.spawn(name, [payload, 1, 2])
    os.close(payload)
launch("a", "sh", "-c", "exit 3")
assert not brood.forget("a")
while brood.reap(): pass
assert [tell for tell, _ in told] == ["started", "exited"], told
assert told[1][1]["code"] == 3
brood.signal("a", 9)
assert brood.forget("a") and brood.forget("a") and brood.forget("b")
launch("c", "/no/such/program")
while brood.reap(): pass
assert told[2] == ("failed", dict(id="c", stage="exec", errno=2)), told
assert not brood.known
print("all well")
"""


def test_a_child_is_started_told_of_reaped_and_forgotten():
    code = FORGET.format(
        folder=str(Path(children.__file__).parent)
    )  # in its own process: it reaps every child
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "all well\n", done.stderr


def test_bytes_that_are_no_text_survive():
    assert children.raw("caf\udce9") == b"caf\xe9"


def test_a_payload_of_any_size_is_passed_in_memory():
    import os

    fd = warden_process.payload(b"x" * 1_000_000)
    assert os.pread(fd, 2_000_000, 0) == b"x" * 1_000_000
    os.close(fd)
