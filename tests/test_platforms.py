"""What moorage does on macOS and Windows, as far as Linux can show it.

Every test runs in a fresh interpreter in which moorage, and nothing else, is told that it is on another
system: see ``emulated.py``. It shows that moorage's modules use nothing at import that is not there, take the
branches meant for that system, and that what needs Linux says so in a sentence. It does not show that
anything works on the system itself: paths, sockets, processes and pyzmq stay Linux's.
"""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moorage.kernel.launch import launch

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "src" / "moorage"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems are looked at from Linux")
systems = pytest.mark.parametrize("system", ["darwin", "win32"])


def emulate(system: str, code: str, *arguments: object) -> Any:
    """Run code that sets ``answer``; a standard library and pyzmq of Linux are beneath it."""
    command = [
        sys.executable,
        TESTS / "emulated.py",
        system,
        f"{code}\nimport json\nprint(json.dumps(answer))",
    ]
    done = subprocess.run(
        [*map(str, command), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def modules() -> list[str]:
    names = [path.relative_to(PACKAGE).with_suffix("").parts for path in sorted(PACKAGE.rglob("*.py"))]
    return [".".join(parts).removesuffix(".__init__") for parts in names if parts != ("__main__",)]


def claimed(module: str) -> str | None:
    """What a module's assertion about the system says, None where it has none."""
    path = PACKAGE.joinpath(*module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    for node in tree.body:
        if isinstance(node, ast.Assert) and "sys.platform" in (said := ast.unparse(node.test)):
            return said
    return None


CLAIMS = {name: claim for name in modules() if (claim := claimed(name)) is not None}
NEEDS_LINUX = frozenset(name for name, claim in CLAIMS.items() if claim == "sys.platform == 'linux'")
"""Nothing imports these elsewhere: the warden, what templates run, namespaces, /proc."""
NEEDS_POSIX = frozenset(name for name, claim in CLAIMS.items() if claim == "sys.platform != 'win32'")


def test_what_a_module_needs_is_linux_or_no_windows():
    """A module that other systems cannot have says so at its top, in one of two ways."""
    assert CLAIMS.keys() == NEEDS_LINUX | NEEDS_POSIX
    assert {"process.warden.main", "process.procfs"} <= NEEDS_LINUX
    assert {"keeper.kept", "temp.service"} <= NEEDS_POSIX


@systems
def test_everything_else_is_imported(system: str):
    wanted = [name for name in modules() if name not in NEEDS_LINUX]
    if system == "win32":
        wanted = [name for name in wanted if name not in NEEDS_POSIX]
    code = """
import importlib, sys
answer = {}
for name in arguments:
    try:
        importlib.import_module(f"moorage.{name}".removesuffix(".__init__"))
    except BaseException as error:
        answer[name] = repr(error)
answer = [answer, sorted(name for name in sys.modules if name.startswith("moorage."))]
"""
    failed, loaded = emulate(system, code, *wanted)
    assert failed == {}
    assert [name for name in NEEDS_LINUX if f"moorage.{name}" in loaded] == []


@systems
def test_the_emulation_hides_what_it_says(system: str):
    code = """
def moorage(line):
    try:
        exec(line, {"__name__": "moorage.somewhere"})
    except (ImportError, AttributeError):
        return False
    return True
answer = list(map(moorage, arguments))
"""
    linux = ["import os; os.memfd_create", "from select import epoll", "import socket; socket.SO_PEERCRED"]
    posix = ["import fcntl", "import resource", "import os; os.fork", "from signal import SIGKILL"]
    answers = emulate(system, code, "import os.path, sys; sys.platform, os.sep, sys.stderr", *linux, *posix)
    assert answers == [True] + [False] * len(linux) + [system == "darwin"] * len(posix)


LAUNCHES = {
    "Warden.open": "Warden.open()",
    "launch": "moorage.launch('python3')",
    "launch, forked": "moorage.launch('python3', fork=True)",
    "launch, isolated": "moorage.launch('python3', isolate='net')",
    "launch, by self-bind": "moorage.launch('python3', rendezvous='self-bind')",
}


@systems
def test_launching_is_refused_in_a_sentence(system: str):
    code = f"""
import asyncio, moorage
from moorage.process.local import Warden
async def enter(block):
    async with block:
        raise AssertionError("something was launched")
answer = {{}}
for name, block in {{{", ".join(f"{name!r}: lambda: {call}" for name, call in LAUNCHES.items())}}}.items():
    try:
        asyncio.run(enter(block()))
    except moorage.MoorageError as error:
        answer[name] = [error.code, str(error)]
try:
    with moorage.blocking.launch("python3"):
        raise AssertionError("something was launched")
except moorage.MoorageError as error:
    answer["blocking"] = [error.code, str(error)]
"""
    answers = emulate(system, code)
    assert answers.keys() == {*LAUNCHES, "blocking"}
    sentence = (
        f"no process can be launched here (E-LAUNCH). Launching works on Linux only so far, and this is "
        f"{system}. Use a Linux machine, container or WSL."
    )
    assert {text for _, text in answers.values()} == {sentence}


COMMANDS = {
    "render demo.py": (1, "error: no process can be launched here (E-LAUNCH)."),
    "render demo.py --isolate net": (
        2,
        "error: no network namespace can be had here (E-ISOLATE). Only Linux",
    ),
    "run python3 -c 1": (1, "error: no process can be launched here (E-LAUNCH)."),
    "run python3 -c 1 --rendezvous hold": (2, "error: the hold rendezvous is known to work on Linux only"),
    "isolate -- true": (125, "error: no network namespace can be had here (E-ISOLATE). Only Linux has them"),
}


@systems
def test_commands_that_launch_say_it_and_nothing_else(system: str, tmp_path: Path):
    (tmp_path / "demo.py").write_text("print(1)\n")
    code = """
import contextlib, io, os
from moorage.cli.main import main
os.chdir(arguments[0])
answer = {}
for line in arguments[1:]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            code = main(line.split())
        except SystemExit as end:
            code = end.code
    answer[line] = [code, said.getvalue()]
"""
    answers = emulate(system, code, tmp_path, *COMMANDS)
    for line, (number, begins) in COMMANDS.items():
        code, said = answers[line]
        assert (code, said.startswith(begins), said.count("\n")) == (number, True, 1), (line, code, said)
        assert "hold" in line or system in said
    assert [path.name for path in tmp_path.iterdir()] == ["demo.py"]


@systems
def test_commands_that_look_do_work(system: str):
    code = """
import contextlib, io
from moorage.cli.main import main
answer = {}
for line in arguments:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        answer[line] = [main(line.split()), told.getvalue()]
"""
    answers = emulate(
        system, code, "kernels list --json", "kernels show python3", "kernels ps", "doctor --json"
    )
    assert [answers[line][0] for line in answers] == [0, 0, 0, 1]
    way = "self-bind" if system == "win32" else "ipc"
    assert way in answers["kernels show python3"][1]
    doctor = answers["doctor --json"][1]
    assert system in doctor
    assert json.loads(doctor)


@systems
def test_addresses_are_agreed_on(system: str, tmp_path: Path):
    """Both sides of the handshake, self-bind's files, and ipc where there is one."""
    code = """
import asyncio, json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from moorage import kernelside
from moorage.rendezvous.choice import make
from moorage.wire.connection import PORTS
numbers = dict(zip(PORTS, range(5001, 5006), strict=True))
folder, answer = Path(arguments[0]), {}

async def agree(way):
    (folder / way).mkdir()
    meeting = make(way, folder / way, b"key", "python3")
    async with asyncio.timeout(60):
        if way == "handshake":
            with ThreadPoolExecutor(1) as pool:
                asking = asyncio.get_running_loop().run_in_executor(
                    pool, kernelside.register, meeting.connection_file, numbers
                )
                info = await meeting.addresses()
                await asking
        else:
            if way == "self-bind":
                content = json.loads(meeting.connection_file.read_bytes())
                meeting.connection_file.write_text(json.dumps({**content, **numbers}))
            info = await meeting.addresses()
    meeting.close()
    return [info.transport, info.shell_port]

for way in arguments[1:]:
    answer[way] = asyncio.run(agree(way))
"""
    ways = ["handshake", "self-bind", *(["ipc"] if system == "darwin" else [])]
    wanted = {"handshake": ["tcp", 5001], "self-bind": ["tcp", 5001], "ipc": ["ipc", 1]}
    assert emulate(system, code, tmp_path, *ways) == {way: wanted[way] for way in ways}


@systems
@pytest.mark.real
@pytest.mark.anyio
async def test_a_running_kernel_is_attached_to(system: str):
    """moorage's client, with a kernel that Linux runs."""
    code = """
import asyncio, moorage
async def use():
    async with moorage.attach(arguments[0]) as kernel:
        return (await kernel.execute("6 * 7")).outputs[0]["data"]["text/plain"]
answer = asyncio.run(use())
"""
    async with launch("python3") as kernel:
        assert await asyncio.to_thread(emulate, system, code, kernel.connection_file) == "42"
        assert (await kernel.execute("1 + 1")).status == "ok", "it was left running"
