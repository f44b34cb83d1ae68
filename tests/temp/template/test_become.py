"""What a keeper's fork puts right, and how it ends. The whole of it: tests/real/test_temp_template.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone")

RUN = "import sys; from moorage.temp.template.become import run; sys.argv[:] = ['-m', 'word']; run('program')"
ENDS = {
    "print('done')": (0, "done\n", ""),
    "raise SystemExit": (0, "", ""),
    "raise SystemExit(3)": (3, "", ""),
    "raise SystemExit('no such file')": (1, "", "no such file\n"),
    "raise KeyboardInterrupt": (130, "", ""),
    "1 / 0": (1, "", "ZeroDivisionError: division by zero\n"),
    "import atexit; atexit.register(print, 'last')": (0, "last\n", ""),
    "import threading; threading.Timer(0.01, print, ['thread']).start()": (0, "thread\n", ""),
    "import sys; print(__name__, sys.argv[1:], sys.modules['__main__'].__spec__.name)": (
        *(0, "__main__ ['word'] program\n", ""),
    ),
}


@pytest.mark.parametrize("code", ENDS)
def test_it_ends_as_an_interpreter_does(code: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    status, out, err = ENDS[code]
    assert (done.returncode, done.stdout) == (status, out), done.stderr
    assert done.stderr.endswith(err)
    assert bool(done.stderr) == bool(err)


def test_random_numbers_are_each_processs_own() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    state = numpy.random.get_state()
    from moorage.temp.template.become import reseed

    first = numpy.random.random()
    numpy.random.set_state(state)
    reseed()
    assert numpy.random.random() != first
