"""The adapter's command line; what it does with kernels is in tests/real/test_handshake.py."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from moorage.jupyter.adapter import main


def test_it_wants_a_type_and_a_file(capsys):
    for arguments in ([], ["--type", "x"], ["-f", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    capsys.readouterr()


def test_a_file_that_is_not_there_or_no_json_is_a_sentence(tmp_path):
    for content in (None, "no json"):
        path = tmp_path / "kernel.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(SystemExit, match=r"^error: .*kernel\.json"):
            main(["--type", "python3", "-f", str(path)])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("ExitStatus(code=3)", 3),
        ("ExitStatus(code=0)", 0),
        ("ExitStatus()", 1),
        ("ExitStatus(signal=9)", -signal.SIGKILL),
        ("ExitStatus(signal=15)", -signal.SIGTERM),
        ("ExitStatus(signal=11)", -signal.SIGSEGV),
    ],
)
def test_it_ends_as_the_kernel_has_ended(status, code, tmp_path):
    program = (
        "from moorage.jupyter.adapter import _end_like\n"
        f"from moorage.process.base import ExitStatus\n_end_like({status})"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr) == (code, b"")
    assert list(tmp_path.iterdir()) == []
