"""Forked kernels: user code sees no difference to a spawned one, in a list; and what they do better."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from moorage import blocking
from moorage.errors import KernelDied
from moorage.process import procfs

pytestmark = [pytest.mark.real, pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")]

FILES = {
    "beside.py": "def double(x):\n    return 2 * x\n",
    "script.py": "import sys\nprint(__name__, __file__, sys.argv, sys.path[0])\nfrom_script = 5\n",
    "ipython/profile_default/startup/10-mine.py": "from_startup = __name__\n",
    "ipython/profile_default/ipython_config.py": "c.InteractiveShellApp.exec_lines = ['from_config = 7']\n"
    "c.InteractiveShell.ast_node_interactivity = 'all'\n",
}


def cells(text: str) -> dict[str, str]:
    """Cut a script at its ``# %% name`` lines."""
    _, *parts = re.split(r"^# %% (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


SAME = cells((Path(__file__).parent / "files" / "same_in_a_fork.py").read_text())
"""What a cell shows must be the same in both; several expressions are several results."""

UNLIKE = {
    "random": "import random; random.random()",
    "numpy.random": "import numpy; numpy.random.random()",
    "uuid1": "import uuid; uuid.uuid1()",
    "uuid4": "uuid.uuid4()",
    "secrets": "import secrets; secrets.token_hex(8)",
    "urandom": "import os; os.urandom(8)",
    "names of temporary files": "import tempfile; next(tempfile._get_candidate_names())",
    "authkey": "import multiprocessing; bytes(multiprocessing.current_process().authkey)",
    "history session": "get_ipython().history_manager.session_number",
    "message session": "get_ipython().kernel.session.session",
    "ssl": "import ssl; ssl.RAND_bytes(8)",
    "sqlite": "import sqlite3; sqlite3.connect(':memory:').execute('select random()').fetchone()",
}
"""What two forks of one template must not share."""

MORE_MODULES = {"psutil", "pwd", "resource"}
"""Loaded in a fork though a spawned kernel loads them only when it ends; Python 3.13 loads pwd in both."""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[blocking.Kernel, ...]]:
    """A spawned kernel and two forked ones, whose template came into being in other surroundings."""
    folder = tmp_path_factory.mktemp("forked")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "tmp").mkdir()
    env = {
        "TZ": "Asia/Tokyo",
        "TMPDIR": str(folder / "tmp"),
        "IPYTHONDIR": str(folder / "ipython"),
        "MINE": "caf\u00e9",
    }
    with ExitStack() as stack:
        stack.enter_context(blocking.launch(fork=True, cwd="/", env={"GONE": "1", "TZ": "UTC"}))
        yield tuple(
            stack.enter_context(blocking.launch(fork=fork, cwd=folder, env=env))
            for fork in (False, True, True)
        )


def shown(kernel: blocking.Kernel, cell: str) -> list[dict[str, Any]]:
    """What a cell shows, without what names this very kernel."""
    result = kernel.execute(cell)
    text = json.dumps([result.status, result.outputs])
    # Not within a picture: a small number may be part of what base64 makes of it.
    text = re.sub(rf"(?<![A-Za-z0-9+]){kernel.process.pid}(?![A-Za-z0-9+])", "PID", text)
    for own, name in (
        (Path(kernel.connection_file).parent.name, "DIRECTORY"),
        (
            kernel.execute("import os; os.environ['MOORAGE_LAUNCH']").outputs[0]["data"]["text/plain"][1:-1],
            "LAUNCH",
        ),
    ):
        text = text.replace(own, name)
    text = re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", text)
    # ps shows one word more of a spawned kernel; the kernel itself does not.
    text = re.sub(r"--config=[^ ]*ipykernel_patches/spawned\.py(\\\\x00)?", "", text)
    found: list[dict[str, Any]] = []
    for output in json.loads(text)[1]:
        last = found[-1] if found else {}
        if output["output_type"] == last.get("output_type") == "stream" and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            found.append(output)
    return found


@pytest.fixture(scope="module")
def both(kernels: tuple[blocking.Kernel, ...]) -> dict[str, list[Any]]:
    """What each cell of SAME shows in the spawned kernel and in a forked one, and which modules they have."""
    modules = {"modules": [value(kernel, "sorted(sys.modules)") for kernel in kernels[:2]]}
    return modules | {name: [shown(kernel, cell) for kernel in kernels[:2]] for name, cell in SAME.items()}


@pytest.mark.parametrize("name", SAME)
def test_user_code_sees_no_difference(both: dict[str, list[Any]], name: str) -> None:
    spawned, forked = both[name]
    assert forked == spawned


@pytest.fixture(scope="module")
def two_forks(kernels: tuple[blocking.Kernel, ...]) -> list[dict[str, Any]]:
    """What each cell of UNLIKE shows in two forks."""
    return [{name: shown(kernel, cell) for name, cell in UNLIKE.items()} for kernel in kernels[1:]]


@pytest.mark.parametrize("name", UNLIKE)
def test_two_forks_do_not_share(two_forks: list[dict[str, Any]], name: str) -> None:
    one, other = two_forks
    assert one[name]
    assert one[name] != other[name]


def value(kernel: blocking.Kernel, code: str) -> Any:
    """What an expression is worth."""
    kernel.execute("import gc, os, sys, time, traceback")
    result = kernel.execute(code)
    assert result.status == "ok", result.error
    return eval(result.outputs[-1]["data"]["text/plain"])


class TestWhatDiffers:
    """And cannot be helped: docs/design/0006-template.md."""

    def test_modules(self, both: dict[str, list[Any]]) -> None:
        spawned, forked = map(set, both["modules"])
        assert spawned - forked == set()
        more = {name.partition(".")[0] for name in forked - spawned}
        assert more - {"ctypes"} == MORE_MODULES - spawned  # Python 3.14 loads less of ctypes

    def test_frozen_objects(self, kernels: tuple[blocking.Kernel, ...]) -> None:
        spawned, *forked = (value(kernel, "gc.get_freeze_count()") for kernel in kernels)
        assert all(count > spawned for count in forked)  # Python 3.12 freezes some of its own at the start

    def test_the_seed_of_hashes_and_the_layout_of_memory_are_the_templates(
        self, kernels: tuple[blocking.Kernel, ...]
    ) -> None:
        hashes = [value(kernel, "hash('moorage'), id(sys)") for kernel in kernels]
        assert hashes[1] == hashes[2] != hashes[0]


def test_sigint_interrupts_the_same(kernels: tuple[blocking.Kernel, ...]) -> None:
    told = [interrupted(kernel) for kernel in kernels[:2]]
    assert told == [("error", "KeyboardInterrupt")] * 2


def interrupted(kernel: blocking.Kernel) -> tuple[str, str]:
    """Execute something that sleeps, and interrupt it as soon as it does."""
    started = threading.Event()

    def received(message: Any) -> None:
        if message.msg_type == "display_data":
            started.set()

    with ThreadPoolExecutor(1) as aside:
        # Naps: Python sees a signal that comes just before a sleep only after it.
        code = "import time; display('now')\nfor _ in range(600): time.sleep(0.1)"
        future = aside.submit(kernel.execute, code, receive=received)
        assert started.wait(60)
        kernel.interrupt()
        result = future.result(50)
    return result.status, result.error.ename


def test_the_debugger_steps_into_what_is_the_users_alone(kernels: tuple[blocking.Kernel, ...]) -> None:
    code = "import json, beside; listed = get_ipython().kernel.debugger.kernel_modules\n"
    code += "json.dumps([list(listed), beside.__file__])"
    told = []
    for kernel in kernels[:2]:
        shown = kernel.execute(code)
        files, beside = json.loads(ast.literal_eval(shown.outputs[0]["data"]["text/plain"]))
        assert beside not in files
        told.append(set(files))
    assert told[0] <= told[1]


def test_the_debugger_answers_the_same(kernels: tuple[blocking.Kernel, ...]) -> None:
    """A ``debug_request`` on the control channel, as JupyterLab sends it."""
    client = pytest.importorskip("jupyter_client").BlockingKernelClient
    told = []
    for kernel in kernels[:2]:
        with ExitStack() as stack:
            speaker = client(connection_file=str(kernel.connection_file))
            speaker.load_connection_file()
            speaker.start_channels(stdin=False, hb=False)
            stack.callback(speaker.stop_channels)
            replies = []
            for number, (command, arguments) in enumerate(DEBUG.items(), 1):
                content = {"type": "request", "seq": number, "command": command, "arguments": arguments}
                speaker.control_channel.send(speaker.session.msg("debug_request", content))
                replies.append(speaker.control_channel.get_msg(timeout=30)["content"])
            # The adapter counts its events, too, and those come when they come.
            text = re.sub(r'"seq": \d+', '"seq": 0', json.dumps(replies, sort_keys=True))
            # Each keeps its cells' sources in a folder that is named after its process.
            told.append(json.loads(re.sub(r"ipykernel_\d+", "ipykernel_0", text)))
    assert told[0] == told[1]
    assert [reply["success"] for reply in told[0]] == [True] * len(DEBUG)


DEBUG = {
    "debugInfo": {},
    "initialize": {
        "clientID": "test", "adapterID": "", "pathFormat": "path",
        "linesStartAt1": True, "columnsStartAt1": True,
        "supportsVariableType": True, "supportsRunInTerminalRequest": True,
    },
    "attach": {},
    "dumpCell": {"code": "x = 1\n"},
    "configurationDone": {},
    "disconnect": {"restart": False, "terminateDebuggee": False},
}  # fmt: skip


def test_what_c_code_and_children_write_is_never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)  # with it ipykernel leaves descriptors alone
    with blocking.launch(fork=True) as kernel:
        kernel.execute("import os")
        for number in range(40):
            code = (
                f"import os; _ = os.write(1, b'{number} '); display({number}); _ = os.system('echo {number}')"
            )
            outputs = kernel.execute(code).outputs
            assert [one.get("text") for one in outputs] == [f"{number} ", None, f"{number}\n"]


def test_a_wrapper_around_a_stream_is_flushed_before_the_cell_ends() -> None:
    wrapper = """
import sys
class Wrapper:
    def __init__(self, inner): self.inner, self.kept = inner, ""
    def write(self, text): self.kept += text
    def flush(self): self.inner.write(self.kept); self.kept = ""; self.inner.flush()
    def __getattr__(self, name): return getattr(self.inner, name)
sys.stdout = Wrapper(sys.stdout)
"""
    with blocking.launch(fork=True) as kernel:
        kernel.execute(wrapper)
        assert [one["text"] for one in kernel.execute("print('kept')").outputs] == ["kept\n"]


def test_text_that_cannot_be_encoded_is_an_error_and_a_reply_comes() -> None:
    told = []
    for fork in (False, True):
        with blocking.launch(fork=fork) as kernel:
            result = kernel.execute(r"print('\ud800'); display(1)")
            text = "".join(one.get("text", "") for one in result.outputs)
            # Where tornado's log goes is settled by a race of ipykernel's threads.
            assert "surrogates not allowed" in text + kernel.process.output()
            others = [one for one in result.outputs if one["output_type"] != "stream"]
            told.append((result.status, others, kernel.execute("print(2); 3").outputs))
    assert told[0] == told[1]


def test_streams_that_are_closed_or_gone_come_to_the_same_end() -> None:
    told = []
    for fork in (False, True):
        with blocking.launch(fork=fork) as kernel:
            shown = [
                # Flushed: how much of the rest is shown is settled by a race of ipykernel's threads.
                kernel.execute(f"import sys; print('last', file=sys.stderr, flush=True); sys.{each}.close()")
                for each in ("stderr", "stdout")
            ]
            shown.append(kernel.execute("print('x')"))
            told.append([(one.status, one.outputs[:1]) for one in shown])
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "code",
    [
        "import os; os._exit(3)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        "import ctypes; ctypes.string_at(0)",
        "import os, threading; threading.Thread(target=lambda: os._exit(4)).start()",
        "import asyncio; asyncio.get_running_loop().stop()",
    ],
    ids=["_exit", "SIGKILL", "SIGTERM", "a crash", "from a thread", "its loop"],
)
def test_deaths_are_told_the_same(code: str) -> None:
    told = []
    for fork in (False, True):
        with blocking.launch(fork=fork) as kernel:
            with suppress(KernelDied):
                kernel.execute(code)
            status = kernel.process.wait()
            told.append((status.describe(), "Fatal Python error" in kernel.process.output()))
    assert told[0] == told[1]


LEFT = """
import atexit, os, tempfile, threading, time, weakref
class D:
    def __init__(self, name): self.name = name
    def __del__(self, open=open): open(self.name, 'w').write('destroyed')
held = open('file', 'w'); held.write('written')
one = D('global')
cycle = D('cycle'); cycle.cycle = cycle; del cycle
atexit.register(lambda: open('atexit', 'w').write('run'))
weakref.finalize(one, lambda: open('finalize', 'w').write('run'))
folder = tempfile.TemporaryDirectory(dir='.')
def later(): time.sleep(0.2); open('thread', 'w').write('waited for')
threading.Thread(target=later).start()
os.write(1, b'last words')
D('in Out')
"""


def test_what_was_made_comes_to_the_same_end(tmp_path: Path) -> None:
    told = []
    for fork in (False, True):
        (folder := tmp_path / str(fork)).mkdir()
        with blocking.launch(fork=fork, cwd=folder) as kernel:
            kernel.execute(LEFT)
            status = kernel.shutdown(grace=20)
            left = {path.name: path.read_text() for path in folder.iterdir()}
            told.append((status.describe(), left, kernel.process.output()))
    assert told[0] == told[1]
    assert len(told[0][1]) == 7


class TestOutput:
    """Displays go their own, quicker way in a fork: none is lost and none overtakes another."""

    @pytest.fixture
    def kernel(self, kernels: tuple[blocking.Kernel, ...]) -> blocking.Kernel:
        kernels[2].execute("%config InteractiveShell.ast_node_interactivity = 'last_expr'")
        return kernels[2]

    def test_printed_and_displayed_in_turn(self, kernel: blocking.Kernel) -> None:
        code = """
import time
for i in range(5000):
    print(i); display(i)
    if i % 700 == 0: time.sleep(0.2)
"""
        found = self.found(kernel.execute(code).outputs)
        assert found == [(kind, number) for number in range(5000) for kind in ("printed", "shown")]

    def test_a_result_after_what_was_printed(self, kernel: blocking.Kernel) -> None:
        for number in range(100):
            outputs = kernel.execute("import sys; print(1, file=sys.stderr); 2").outputs
            assert [one["output_type"] for one in outputs] == ["stream", "execute_result"], number

    def test_from_many_threads_each_in_its_order(self, kernel: blocking.Kernel) -> None:
        code = """
import threading
def show(first):
    for number in range(first, first + 300):
        print(f"{number}\\n", end=""); display(number)
threads = [threading.Thread(target=show, args=(first,)) for first in range(0, 3000, 1000)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
        found = self.found(kernel.execute(code).outputs)
        for first in range(0, 3000, 1000):
            mine = [one for one in found if first <= one[1] < first + 1000]
            assert [number for kind, number in mine if kind == "shown"] == list(range(first, first + 300))
            place = {one: at for at, one in enumerate(mine)}
            assert all(place["printed", n] < place["shown", n] for n in range(first, first + 300))

    def test_a_client_that_does_not_read_loses_nothing(self, kernel: blocking.Kernel) -> None:
        """ZeroMQ would drop what is beyond a thousand messages; both ends' buffers hold some more."""
        zmq = pytest.importorskip("zmq")
        client = pytest.importorskip("jupyter_client").BlockingKernelClient
        slow = client(connection_file=str(kernel.connection_file))
        slow.load_connection_file()
        slow.start_channels(shell=False, stdin=False, hb=False, control=False)
        try:
            for _ in range(100):  # whoever is not welcomed has subscribed when he hears of something
                if slow.iopub_channel.socket.poll(100, zmq.POLLIN):
                    break
                kernel.execute("1")
            kernel.execute("for i in range(20_000): display(i)")
            seen = []
            while len(seen) < 20_000:
                message = slow.get_iopub_msg(timeout=20)
                if message["msg_type"] == "display_data":
                    seen.append(int(message["content"]["data"]["text/plain"]))
            assert seen == list(range(20_000))
        finally:
            slow.stop_channels()

    def found(self, outputs: list[dict[str, Any]]) -> list[tuple[str, int]]:
        seen = []
        for output in outputs:
            if output["output_type"] == "stream":
                seen += [("printed", int(word)) for word in output["text"].split()]
            else:
                seen.append(("shown", int(output["data"]["text/plain"])))
        return seen


def resident(pid: int) -> int:
    """Memory of one process without its children, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_a_hundred_kernels_leave_no_memory_and_no_descriptor_behind() -> None:
    with blocking.launch(fork=True) as first:
        warden = int(value(first, "__import__('os').getppid()"))
        below = [one for one in procfs.table().values() if one.ppid == warden]
        template = min((one.start, one.pid) for one in below if one.pid != first.process.pid)[1]

        def sizes() -> list[list[int]]:
            pids = (os.getpid(), warden, template)
            return [[resident(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))] for pid in pids]

        before = []
        for number in range(110):
            with blocking.launch(fork=True) as kernel:
                kernel.execute("1")
            if number == 9:
                before = sizes()
        deadline = monotonic() + 60
        # libzmq closes the last kernel's sockets in threads of its own.
        after = sizes()
        while any(now > then for (_, now), (_, then) in zip(after, before, strict=True)):
            assert monotonic() < deadline, f"{before} {after}"
            sleep(0.05)
            after = sizes()
    for (memory, _), (memory_after, _) in zip(before, after, strict=True):
        assert memory_after - memory < 4 << 20
