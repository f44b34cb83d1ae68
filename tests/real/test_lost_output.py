"""Kernels that print more than their publisher keeps, to a client that does not read meanwhile."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from bench.dialects import DIALECTS
from bench.drill_lines import PRINTING, one_run

from moorage import launch
from moorage.kernel.request import LOST

pytestmark = [pytest.mark.real, pytest.mark.slow]

LINES, FILL = 2500, "x" * 20_000
"""Five times what a socket's buffers and ZeroMQ's limit of a thousand messages hold."""


@pytest.mark.parametrize("forked", [False, True])
def test_ipykernel_drops_nothing(tmp_path, forked):
    printed = one_run(tmp_path, "python3", lines=LINES, fill=FILL, forked=forked, pause=True)
    assert (printed.status, printed.missing, printed.ordered) == ("ok", 0, True)


@pytest.mark.parametrize("kernel", ["bash", pytest.param("ir", marks=pytest.mark.drill), "deno"])
def test_nor_do_kernels_whose_limit_can_be_lifted_or_that_wait(tmp_path, kernel):
    if not DIALECTS[kernel].here:
        pytest.skip(f"there is no kernelspec {kernel}")
    # bash_kernel takes long for long lines.
    lines, fill = (8000, "x" * 1500) if kernel == "bash" else (LINES, FILL)
    printed = one_run(tmp_path, kernel, lines=lines, fill=fill, pause=True)
    assert (printed.status, printed.missing, printed.ordered) == ("ok", 0, True)


@pytest.mark.parametrize("kernel", ["xpython", "tslab"])
def test_what_others_drop_is_told(tmp_path, kernel):
    if not DIALECTS[kernel].here:
        pytest.skip(f"there is no kernelspec {kernel}")
    printed = one_run(tmp_path, kernel, lines=LINES, fill=FILL, pause=True)
    assert printed.missing
    assert (printed.status, printed.error) == ("failed", "OutputLost")


# -- kernels that are attached to ------------------------------------------------------------------

MIDDLE = """import os, time
from pathlib import Path
Path("begun").touch()
for n in range({lines}): print({fill!r} + str(n), flush=True)
Path("done").touch()
while not os.path.exists("read"): time.sleep(0.05); print("later", flush=True)
print("the end")"""
"""What is dropped is in the middle: the end arrives."""


@asynccontextmanager
async def kernel_of(starter, kernel_type, folder):
    """A kernel in a folder, launched by moorage or started as any program might: its connection file."""
    if starter == "moorage":
        async with launch(kernel_type, cwd=folder) as kernel:
            yield kernel.connection_file
        return
    file = folder / "kernel.json"
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", str(file), "--HistoryManager.enabled=False"]
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(60):
            while not file.exists():
                await asyncio.sleep(0.02)
        yield file
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def stopped_meanwhile(folder, connection_file, code, *flags):
    """`moorage run --existing`, which was stopped while its code printed, and goes on."""
    command = [sys.executable, "-m", "moorage", "run", "--existing", str(connection_file), *flags]
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    running = await asyncio.create_subprocess_exec(*command, "-c", code, cwd=folder, **pipes)
    async with asyncio.timeout(600):
        for name, signum in (("begun", signal.SIGSTOP), ("done", signal.SIGCONT)):
            while not (folder / name).exists():
                await asyncio.sleep(0.02)
            running.send_signal(signum)
        yield running


@pytest.mark.anyio
@pytest.mark.parametrize("kernel", ["python3", pytest.param("ir", marks=pytest.mark.drill)])
async def test_a_second_client_of_a_kernel_of_moorages_loses_nothing_either(tmp_path, kernel):
    if not DIALECTS[kernel].here:
        pytest.skip(f"there is no kernelspec {kernel}")
    code = PRINTING[kernel].format(lines=LINES, fill=FILL)
    async with (
        kernel_of("moorage", kernel, tmp_path) as file,
        stopped_meanwhile(tmp_path, file, code, "--json") as running,
    ):
        told, _ = await running.communicate()
    (cell,) = json.loads(told)["cells"]
    assert cell["complete"]
    assert [each["name"] for each in cell["outputs"]] == ["stdout"]
    assert cell["outputs"][0]["text"].split() == [f"{FILL}{n}" for n in range(LINES)]


@pytest.mark.anyio
@pytest.mark.parametrize(("starter", "kernel"), [("another program", "python3"), ("moorage", "xpython")])
async def test_what_a_kernel_drops_that_is_attached_to_is_told(tmp_path, starter, kernel):
    if not DIALECTS[kernel].here:
        pytest.skip(f"there is no kernelspec {kernel}")
    code = MIDDLE.format(lines=LINES, fill=FILL)
    async with (
        kernel_of(starter, kernel, tmp_path) as file,
        stopped_meanwhile(tmp_path, file, code) as running,
    ):
        lines = []
        while (line := await running.stdout.readline()) != b"later\n":
            lines.append(line)
        (tmp_path / "read").touch()
        rest, complaints = await running.communicate()
    assert len(lines) < LINES
    assert rest.endswith(b"the end\n")
    assert (running.returncode, complaints.decode()) == (0, LOST)
