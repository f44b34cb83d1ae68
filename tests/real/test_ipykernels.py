"""Forking with minor versions of ipykernel: oldest supported, newest, and in `make drill` some between."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moorage import blocking
from moorage.discovery.kernelspec import KernelSpec

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux"),
]

VERSIONS = (
    "7.4.0",
    *(pytest.param(version, marks=pytest.mark.drill) for version in ("7.3.0", "7.2.0", "6.31.0")),
    "6.29.0",
)

MIXED = """
import os, sys, time
for number in range(300):
    print(number); display(number)
os.write(1, b"native "); display("after")
"""
HOOK = """
import sys, threading
there = threading.Event()
def redact(message):
    message["content"]["text"] = message["content"]["text"].replace("secret", "***")
    return message
sys.stdout.pub_thread.schedule(lambda: (sys.stdout.register_hook(redact), there.set()))
assert there.wait(60)
print("a secret"); print("not one", file=sys.stderr); print("another secret"); display(1)
"""
"""It waits for its hook. Every ipykernel publishes 0.2 s after a print, too, by a timer of its printing
thread; one set by an earlier cell may be due while the registration still waits in the queue."""


@pytest.fixture(scope="module", params=VERSIONS)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has this version of ipykernel and not moorage."""
    folder = tmp_path_factory.mktemp("venv") / "venv"
    uv = [sys.executable, "-m", "uv"]
    made = subprocess.run(
        [*uv, "venv", "-q", "--python", sys.executable, folder], check=False, capture_output=True, text=True
    )
    python = folder / "bin" / "python"
    if made.returncode == 0:
        install = [*uv, "pip", "install", "-q", "--python", python, f"ipykernel=={request.param}"]
        made = subprocess.run(install, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"ipykernel {request.param} cannot be installed here: {made.stderr.strip()[-200:]}")
    return python


def test_a_forked_kernel_does_what_a_spawned_one_does(
    python: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)  # with it ipykernel leaves descriptors alone
    spec = KernelSpec(
        "mine", (str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"), "Mine", "python"
    )
    told = []
    for fork in (False, True):
        with blocking.launch(spec, fork=fork) as kernel:
            assert kernel.process.forked == fork, kernel.process.not_forked
            shown = [kernel.execute(code) for code in (HOOK, "1 / 0", "6 * 7")]
            said = kernel.execute(r"print('\ud800')").status  # a reply comes
            told.append(
                (
                    said,
                    [(one.status, one.outputs if one.status == "ok" else one.error.ename) for one in shown],
                )
            )
            if fork:
                # A spawned one may show what C code wrote cells later, as ipykernel alone does.
                in_turn(kernel.execute(MIXED).outputs)
                unbounded = "k = get_ipython().kernel; k.iopub_socket.io_thread.socket.sndhwm"
                assert kernel.execute(unbounded).outputs[-1]["data"]["text/plain"] == "0"
    assert told[0] == told[1]
    assert [one["text"] for one in told[0][1][0][1][:3]] == ["a ***\n", "not one\n", "another ***\n"]
    assert "are slower" not in caplog.text  # all of this version is as known


def in_turn(outputs: list[dict[str, Any]]) -> None:
    """Fail unless what was printed and what was displayed come in the order in which they were made."""
    seen: list[object] = []
    for output in outputs:
        data = output.get("data")
        seen.append(str(output["text"]).strip() if data is None else data["text/plain"])
    assert seen == [str(number // 2) for number in range(600)] + ["native", "'after'"]
