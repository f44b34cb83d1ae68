"""The configuration file of spawned kernels, read in a process of its own and by a real kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from moorage.kernel.launch import launch
from moorage.process.ipykernel_patches import arguments

FILE = str(arguments._CONFIGURATION)
READ = f"""
import sys
BEFORE
from traitlets.config.loader import PyFileConfigLoader
from ipykernel.kernelapp import IPKernelApp
sys.argv = ["kernel", "-f", "k.json", "--config={FILE}"]
for _ in range(3):
    assert not PyFileConfigLoader({FILE!r}).load_config()
assert sys.argv == ["kernel", "-f", "k.json"], sys.argv
once = IPKernelApp._try_bind_socket
assert once.unbounded
PyFileConfigLoader({FILE!r}).load_config()
assert IPKernelApp._try_bind_socket is once
"""


@pytest.mark.parametrize("before", ["", "del sys.orig_argv"], ids=["here", "as before Python 3.10"])
def test_it_is_read_any_number_of_times_and_changes_the_class_once(before):
    subprocess.run([sys.executable, "-c", READ.replace("BEFORE", before)], check=True, timeout=60)


@pytest.mark.anyio
@pytest.mark.parametrize("rendezvous", ["ipc", "self-bind", "hold"])
async def test_a_spawned_kernel_has_no_limit_and_shows_the_kernelspecs_command(rendezvous):
    code = "print(sys.argv[1:-1], get_ipython().kernel.iopub_thread.socket.sndhwm)"
    async with launch("python3", fork=False, rendezvous=rendezvous) as kernel:
        result = await kernel.execute(f"import sys; {code}")
    assert result.outputs[0]["text"] == "['-f'] 0\n"


ALTERNATING = """
import sys
for n in range(300):
    print(n, file=(sys.stdout, sys.stderr)[n % 2])
"""


@pytest.mark.anyio
@pytest.mark.parametrize("fork", [False, True], ids=["spawned", "forked"])
async def test_both_streams_arrive_in_the_order_in_which_they_were_written(fork):
    async with launch("python3", fork=fork) as kernel:
        result = await kernel.execute(ALTERNATING)
    assert [int(output["text"]) for output in result.outputs] == list(range(300))
    assert {output["name"] for output in result.outputs[::2]} == {"stdout"}


@pytest.fixture
def anyio_backend():
    return "asyncio"
