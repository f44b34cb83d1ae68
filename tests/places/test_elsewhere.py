"""A place that moorage does not know: launching, restarting, deadlines and errors are the same there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import moorage
from moorage.discovery.finder import find
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded, LaunchError, UsageError
from moorage.wire.connection import ConnectionInfo, Endpoint
from places.elsewhere import LISTEN, REGISTER, Elsewhere

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is this machine on Linux alone"),
]

NICE = str(os.nice(0) + 7)
"""The niceness of what is started there, wherever the tests themselves are started."""
ASKED = (
    "import os; print(os.getcwd(), os.nice(0), os.environ.get('THERE'), os.environ.get('ADDED'), "
    "'MOORAGE_HERE' in os.environ)"
)


@pytest.fixture
def tmp_path():
    """Short enough for the paths of Unix sockets."""
    made = Path(tempfile.mkdtemp(prefix="m"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.setenv("MOORAGE_HERE", "1")
    there = {"THERE": "yes", "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return Elsewhere(tmp_path, there)


async def printed(kernel, code):
    result = await kernel.execute(code)
    return "".join(output.get("text", "") for output in result.outputs).split()


async def test_a_kernel_is_launched_there(place, tmp_path):
    async with moorage.launch(place=place, env={"ADDED": "too"}) as kernel:
        for _ in range(2):
            assert await printed(kernel, ASKED) == [str(tmp_path), NICE, "yes", "too", "False"]
            await kernel.restart()
        pid, files = kernel.process.pid, sorted(kernel.connection_file.parent.glob("*.json"))
        told = [ConnectionInfo.from_dict(json.loads(file.read_bytes())) for file in files]
        seen = await printed(kernel, "import sys; print(sys.argv[sys.argv.index('-f') + 1])")
    assert kernel.rendezvous == "ipc"
    assert [file.name for file in files] == ["kernel.json", kernel.connection_file.name]
    (mount, directory) = (Path(info.ip).parent for info in told)
    assert (mount.parent, directory) == (tmp_path, kernel.connection_file.parent)
    assert seen == [str(mount / "kernel.json")]
    assert not Path(f"/proc/{pid}").exists()
    assert not any(map(os.path.lexists, (mount, directory)))
    async with moorage.launch(place=place, cwd="sub") as kernel:
        assert (await printed(kernel, ASKED))[0] == str(tmp_path / "sub")


@pytest.mark.parametrize("rendezvous", ["hold", "self-bind", "handshake"])
async def test_a_kernel_listens_and_registers_at_the_addresses_of_the_place(place, rendezvous):
    spec = find("python3")
    if rendezvous == "handshake":
        spec = replace(
            spec, argv=(sys.executable, "-m", "moorage.jupyter.ipykernel", "-f", "{connection_file}")
        )
    async with moorage.launch(spec, place=place, rendezvous=rendezvous) as kernel:
        assert kernel.rendezvous == rendezvous
        assert (await printed(kernel, ASKED))[1] == NICE
        assert json.loads(kernel.connection_file.read_bytes())["ip"] == LISTEN
        assert kernel.connection_file.name == "kernel.json"


async def test_a_kernel_of_one_address_for_both_is_refused(place):
    spec = KernelSpec("ark", ("ark", "--connection_file", "{connection_file}"), "Ark R Kernel", "r")
    with pytest.raises(LaunchError, match=rf"not {LISTEN} to listen at and {REGISTER} to register at"):
        async with moorage.launch(spec, place=place):
            pass


async def test_a_server_is_launched_there(place):
    code = "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); "
    code += "print('up', flush=True); s.accept()[0].sendall(b'%d' % os.nice(0))"
    async with place.open() as workspace:
        spec = workspace.process(None, workspace.environment)
        inside = Endpoint("ipc", str(workspace.mount / "s"), 0)
        async with workspace.launch(replace(spec, argv=(sys.executable, "-c", code, inside.path))) as handle:
            while "up" not in handle.output():
                await asyncio.sleep(0)
            reader, writer = await asyncio.open_unix_connection((await workspace.reach(inside)).path)
            assert await reader.read() == NICE.encode()
            writer.close()
            await writer.wait_closed()


async def test_a_kernel_type_brings_its_place_with_it(place, tmp_path):
    there = replace(find("python3"), name="there", provider="box", place=place)
    async with moorage.launch(there) as kernel:
        assert (await printed(kernel, ASKED))[:3] == [str(tmp_path), NICE, "yes"]
    async with moorage.pool(there, size=1) as pool, pool.launch(cwd="sub") as kernel:
        assert (await printed(kernel, ASKED))[:2] == [str(tmp_path / "sub"), NICE]
    with pytest.raises(UsageError, match="box/there runs on the folder"):
        async with moorage.launch(there, isolate="net"):
            pass


class NotHere:
    """An environment of the place; asking this machine for it is the mistake."""

    prefix = Path("/opt/there")
    kind = "conda"

    def environment(self, base):
        raise AssertionError("this machine was asked")


async def test_an_environment_is_entered_by_the_place(place):
    there = replace(find("python3"), place=place, activation=NotHere(), env={"BIN": "${PATH}"})
    async with moorage.launch(there) as kernel:
        path, variable = await printed(kernel, "import os; print(os.environ['PATH'], os.environ['BIN'])")
    assert path == variable == f"/opt/there/bin:{os.environ['PATH']}"


@dataclass
class Slow:
    """A place that hangs in one step, as a connection does that gets no answer."""

    inner: Elsewhere
    step: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    directories: list[Path] = field(default_factory=list)
    name = "the box far away"

    def ways(self, kernel, wanted):
        return self.inner.ways(kernel, wanted)

    @asynccontextmanager
    async def open(self):
        async with self.inner.open() as workspace:
            self.directories.append(workspace.directory)
            if self.step == "open":
                await self.hang()
            setattr(workspace, self.step, self.hang)
            yield workspace

    async def hang(self, *_):
        self.reached.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("step", ["open", "enter", "agree"])
async def test_a_place_that_hangs_ends_with_the_deadline(place, step):
    slow = Slow(place, step)
    with pytest.raises(DeadlineExceeded, match=r"the box far away was not ready for .*python3 within 0\.3 s"):
        async with moorage.launch(place=slow, timeout=0.3):
            pass
    assert slow.reached.is_set()
    assert not slow.directories[0].exists()


@pytest.mark.parametrize("step", ["open", "enter", "agree"])
async def test_a_launch_that_is_cancelled_there_is_tidied_up(place, step):
    slow = Slow(place, step)

    async def launched():
        async with moorage.launch(place=slow):
            pass

    async with asyncio.TaskGroup() as group:
        task = group.create_task(launched())
        await slow.reached.wait()
        task.cancel()
    assert not slow.directories[0].exists()
