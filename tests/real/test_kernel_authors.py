"""The kernel that the page for authors of kernels shows, started by every launcher there is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from foreign import Kallichore, XeusLauncher, session
from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel.launch import launch
from moorage.testing import check_kernel
from moorage.testing.snippets import Snippets

pytestmark = [pytest.mark.real, pytest.mark.anyio]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "kernel-authors.md"


@pytest.fixture
def kernel_py(tmp_path):
    """The page's code, in one file."""
    (whole,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "echo_kernel.py"
    path.write_text(whole)
    return path


@pytest.mark.parametrize("way", ["auto", "handshake", "hold"])
async def test_by_moorage(way, kernel_py):
    argv = (sys.executable, str(kernel_py), "{connection_file}")
    spec = KernelSpec("echo", argv, "Echo", "echo", protocol_version="5.6")
    async with launch(spec, rendezvous=way) as kernel:
        assert kernel.rendezvous == ("hold" if way == "hold" else "handshake")
        assert (await kernel.execute("hello")).outputs[0]["text"] == "hello\n"
        await kernel.restart()
        assert (await kernel.execute("again")).outputs[0]["text"] == "again\n"


@pytest.mark.parametrize("kind", [XeusLauncher, Kallichore])
async def test_by_somebody_elses_launcher(kind, kernel_py, tmp_path):
    path = tmp_path / "kernel.json"
    with kind() as launcher:
        path.write_text(json.dumps(launcher.file()))
        with subprocess.Popen([sys.executable, str(kernel_py), str(path)]) as process:
            try:
                ports = launcher.registered(60)
                with session(ports, launcher.key) as run:
                    assert run("hello") == "hello\n"
                    run.shutdown()
                assert process.wait(20) == 0
            finally:
                process.kill()


async def test_it_passes_the_check_that_the_page_recommends(kernel_py):
    argv = (sys.executable, str(kernel_py), "{connection_file}")
    spec = KernelSpec("echo", argv, "Echo", "echo", protocol_version="5.6")
    (words,) = re.findall(r"Snippets\((.*)\)", PAGE.read_text())
    snippets = Snippets(**dict(re.findall(r'(\w+)="([^"]*)"', words)))
    verdict = await check_kernel(spec, starts=3, snippets=snippets)
    verdict.require()
