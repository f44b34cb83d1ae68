"""What the report of a test that waits in vain says of processes."""

from __future__ import annotations

import os
import subprocess
import sys

from witness import descendants, stacks


def test_the_stack_of_a_process_is_told():
    code = "import time\ndef in_vain():\n    print(flush=True)\n    time.sleep(600)\nin_vain()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert process.pid in descendants()
            told = stacks([process.pid])
        finally:
            process.kill()
    assert "time.sleep(600)" in told
    # Only root, or the parent of a process, may look into it: else the system's function has to do.
    assert "in_vain" in told or f"thread {process.pid}: " in told


def test_one_that_has_ended_is_no_error():
    process = subprocess.Popen(["true"])
    process.wait()
    assert f"process {process.pid}" in stacks([process.pid, os.getpid()])
