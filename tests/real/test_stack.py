"""The stack of a forked kernel is that of a spawned one from the bottom up, whatever shows it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from moorage import blocking
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import KernelDied

pytestmark = [pytest.mark.real, pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")]

MODULES = ("ipykernel_launcher", "ipykernel", "metakernel_python")
WRAPPER = {
    "__init__.py": "from ipykernel.ipkernel import IPythonKernel\nclass Kernel(IPythonKernel): pass\n",
    "__main__.py": "from ipykernel.kernelapp import IPKernelApp\nfrom . import Kernel\n"
    "IPKernelApp.launch_instance(kernel_class=Kernel)\n",
}
"""Stands for a kernel built on ipykernel, under the name of one that is forked; it runs Python."""

Both = tuple[blocking.Kernel, blocking.Kernel]


@contextmanager
def running(module: str, *flags: str, **env: str) -> Iterator[Both]:
    """A kernel that is spawned, and one that is forked."""
    argv = (sys.executable, *flags, "-m", module, "-f", "{connection_file}")
    spec = KernelSpec(name=module, argv=argv, display_name=module, language="python")
    with (
        blocking.launch(spec, fork=False, env=env) as spawned,
        blocking.launch(spec, fork=True, env=env) as forked,
    ):
        assert [spawned.process.forked, forked.process.forked] == [False, True]
        yield spawned, forked


@pytest.fixture(scope="module", params=MODULES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "metakernel_python").mkdir()
    for name, text in WRAPPER.items():
        (folder / "metakernel_python" / name).write_text(text)
    with running(request.param, PYTHONPATH=str(folder)) as kernels:
        yield kernels


def printed(kernel: blocking.Kernel, code: str) -> str:
    result = kernel.execute(code)
    assert result.status == "ok", result.error
    text = "".join(one["text"] for one in result.outputs if one["output_type"] == "stream")
    folder = Path(kernel.connection_file).parent.name
    for own, name in ((str(kernel.process.pid), "PID"), (folder, "DIRECTORY")):
        text = text.replace(own, name)
    # One word more stands in a spawned kernel's command line, and is taken away as it starts.
    text = re.sub(r", '--config=[^ ]*ipykernel_patches/spawned\.py'", "", text)
    return re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", text)


LOOKS = {
    "frames": """
import json, sys
def look():
    frames, frame = [], sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        frames.append([code.co_filename, code.co_name, frame.f_lineno, sorted(frame.f_locals)])
        frame = frame.f_back
    print(json.dumps(frames[::-1], indent=1))
look()
""",
    "what runpy holds": """
import sys
def held(frame):
    while frame is not None:
        if frame.f_globals.get("__name__") == "runpy":
            print({name: value for name, value in frame.f_locals.items() if not name.endswith("globals")})
            print(sorted(frame.f_globals))
        frame = frame.f_back
held(sys._getframe())
""",
    "a printed stack": "import sys, traceback; traceback.print_stack(file=sys.stdout)",
    "what inspect shows": "import inspect; print(*[one[1:4] for one in inspect.stack()], sep='\\n')",
    "what faulthandler shows": """
import faulthandler, tempfile
with tempfile.TemporaryFile() as file:
    faulthandler.dump_traceback(file, all_threads=False); file.seek(0); print(file.read().decode())
""",
    "the outermost module": """
import sys
def outermost(frame):
    while frame.f_back.f_code.co_name != "_run_code":
        frame = frame.f_back
    return {name: repr(value) for name, value in frame.f_globals.items() if name != "__builtins__"}
print(outermost(sys._getframe()))
""",
    "the surroundings": """
import sys
print(sys.argv, sys.orig_argv, sys.path, [repr(each) for each in sys.meta_path], sys.path_hooks, sep="\\n")
print(sorted(name for name in sys.modules if name.startswith(("runpy", "pkgutil", "importlib", "zipimport"))))
print([name for name in sys.modules if name.startswith("moorage")])
print([path for path in sys.path_importer_cache if "/moorage/process" in path])
""",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_it_shows_the_same(both: Both, look: str) -> None:
    spawned, forked = (printed(kernel, look) for kernel in both)
    assert spawned.strip()
    assert forked == spawned


def test_it_ends_with_runpy_and_the_kernels_module(both: Both) -> None:
    frames = json.loads(printed(both[1], LOOKS["frames"]))
    assert [frame[1] for frame in frames[:3]] == ["_run_module_as_main", "_run_code", "<module>"]
    assert not [frame[0] for frame in frames if "/moorage/process" in frame[0]]


def test_with_flags_that_hide_the_way_in_one_frame_is_left_which_is_no_files() -> None:
    with running("ipykernel_launcher", "-I") as kernels:
        spawned, forked = (json.loads(printed(kernel, LOOKS["frames"])) for kernel in kernels)
    assert forked[0][:2] == ["<string>", "<module>"]
    assert forked[1:] == spawned


DIES = """
import asyncio
def fails(): raise SystemExit("the last word")
_ = asyncio.get_running_loop().call_soon(fails)
"""


def test_an_exception_that_reaches_the_bottom_ends_it_alike() -> None:
    told = []
    for code in (DIES, DIES.replace("SystemExit", "KeyboardInterrupt")):
        with running("ipykernel_launcher") as kernels:
            for kernel in kernels:
                with suppress(KernelDied):
                    kernel.execute(code)
                told.append((kernel.process.wait().describe(), kernel.process.output()))
    assert told[0] == told[1]
    assert told[2] == told[3]


class Speaker:
    """Speaks to a kernel's debugger as JupyterLab does."""

    def __init__(self, kernel: blocking.Kernel, stack: ExitStack) -> None:
        client = pytest.importorskip("jupyter_client").BlockingKernelClient
        self.client = client(connection_file=str(kernel.connection_file))
        self.client.load_connection_file()
        self.client.start_channels(stdin=False, hb=False)
        stack.callback(self.client.stop_channels)
        self.client.wait_for_ready(timeout=30)
        self.number = 0

    def ask(self, command: str, **arguments: Any) -> Any:
        self.number += 1
        content = {"type": "request", "seq": self.number, "command": command, "arguments": arguments}
        self.client.control_channel.send(self.client.session.msg("debug_request", content))
        reply = self.client.control_channel.get_msg(timeout=30)["content"]
        assert reply["success"], reply
        return reply.get("body", {})

    def stopped(self) -> int:
        """Wait until a thread has stopped; return its number."""
        while True:
            message = self.client.get_iopub_msg(timeout=30)
            if message["msg_type"] == "debug_event" and message["content"]["event"] == "stopped":
                return message["content"]["body"]["threadId"]


def test_the_debugger_shows_the_same() -> None:
    pytest.importorskip("debugpy")
    told = []
    with running("ipykernel_launcher", "-Xfrozen_modules=off") as kernels:
        for kernel in kernels:
            # All frames, not those of the user alone.
            kernel.execute(
                "own = get_ipython().kernel.debugger; own.just_my_code = own.filter_internal_frames = False"
            )
            told.append(debugged(kernel))
    assert told[0] == told[1]
    assert [frame[0] for frame in told[1][-3:]] == ["<module>", "_run_code", "_run_module_as_main"]
    assert len(told[1]) > 5


def debugged(kernel: blocking.Kernel) -> list[tuple[str, str, int]]:
    """Stop in a cell; return name, file and line of each frame."""
    code = "def inner():\n    return 1\ninner()\n"
    with ExitStack() as stack, ThreadPoolExecutor(1) as aside:
        speaker = Speaker(kernel, stack)
        speaker.ask("initialize", clientID="test", adapterID="", linesStartAt1=True, columnsStartAt1=True)
        speaker.ask("attach")
        path = speaker.ask("dumpCell", code=code)["sourcePath"]
        speaker.ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2}], sourceModified=False)
        speaker.ask("configurationDone")
        future = aside.submit(kernel.execute, code)
        thread = speaker.stopped()
        frames = speaker.ask("stackTrace", threadId=thread)["stackFrames"]
        speaker.ask("continue", threadId=thread)
        assert future.result(60).status == "ok"
        speaker.ask("disconnect", restart=False, terminateDebuggee=False)
    shown = [(one["name"], one["source"]["path"], one["line"]) for one in frames]
    return [(name, re.sub(r"ipykernel_\d+/\d+", "cell", file), line) for name, file, line in shown]
