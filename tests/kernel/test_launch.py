"""``launch`` as users hold it: its signature, its help, its place."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys

import pytest

import moorage
from moorage.errors import KernelTypeNotFound, UsageError
from moorage.kernel.launch import launch
from moorage.places.here import Here
from moorage.process.warden import shared
from moorage.process.warden.process import start


def test_it_is_a_plain_function_with_its_signature():
    assert inspect.isfunction(moorage.launch)
    assert list(inspect.signature(moorage.launch).parameters)[:3] == ["kernel_type", "cwd", "env"]
    assert "Launch a kernel that lives as long as" in pydoc.render_doc(moorage.launch)


def test_a_first_launch_loads_zeromq_while_the_kernel_starts():
    code = (
        "import sys, moorage, moorage.kernel.launch as each, moorage.kernel.starting\n"
        "print('zmq' in sys.modules, 'moorage.kernel.client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


@pytest.mark.anyio
async def test_a_kernel_is_launched_in_the_place_that_is_named():
    async with launch(place=Here(fork=False)) as kernel:
        assert not kernel.process.forked
        assert (await kernel.execute("1")).status == "ok"


@pytest.mark.anyio
async def test_a_place_and_what_says_how_this_machine_is_used_do_not_go_together():
    with pytest.raises(UsageError, match="another place was named"):
        async with launch(place=Here(), fork=True):
            pass


@pytest.mark.anyio
async def test_a_launch_that_fails_leaves_no_warden_that_was_started_ahead(monkeypatch):
    started = []
    monkeypatch.setattr(shared, "start", lambda: started.append(start()) or started[-1])
    shared.close()
    with pytest.raises(KernelTypeNotFound):
        async with launch("no-such-kernel"):
            pass
    assert not shared._ahead
    (process,) = started
    assert process.popen.returncode == 0
