"""Kernels without async."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from moorage.errors import KernelDied, KernelTypeNotFound, UsageError
from moorage.kernel import blocking, kernel
from moorage.plan.lifecycle import Exited, Running


@pytest.fixture(scope="module")
def python():
    with blocking.launch("python3") as kernel:
        yield kernel


def text(result):
    return "".join(output.get("text", "") for output in result.outputs)


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_names_are_those_of_the_asynchronous_kernel(python):
    asynchronous = public(kernel.Kernel) | {"spec", "client", "info", "rendezvous", "connection_file"}
    assert public(python) == asynchronous
    for name in public(kernel.Kernel):
        theirs, ours = getattr(kernel.Kernel, name), getattr(blocking.Kernel, name)
        if callable(theirs):
            assert list(inspect.signature(theirs).parameters) == list(inspect.signature(ours).parameters)
            assert not inspect.iscoroutinefunction(ours)


def test_executing(python):
    assert text(python.execute("print(6 * 7)")) == "42\n"
    assert isinstance(python.status, Running)
    assert python.process.memory() > 10_000_000
    assert isinstance(python.process.output(), str)
    assert text(python.execute("print(input())", stdin=lambda *_: "Ada")) == "Ada\n"


def test_it_works_where_a_loop_is_running(python):
    async def main():
        return python.execute("print(1)")

    assert text(asyncio.run(main())) == "1\n"


def test_threads_share_one_portal(python):
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(text(python.execute(f"print({n})"))))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(results) == [f"{n}\n" for n in range(8)]
    assert sum(thread.name == "moorage" for thread in threading.enumerate()) == 1


def test_interrupting_from_another_thread(python):
    on = threading.Event()
    timer = threading.Thread(target=lambda: on.wait(20) and python.interrupt())
    timer.start()
    result = python.execute(
        "print('on', flush=True)\nimport time\nwhile True: time.sleep(0.1)",
        receive=lambda message: on.set() if message.msg_type == "stream" else None,
    )
    timer.join()
    assert result.error.ename == "KeyboardInterrupt"


def test_a_callback_that_raises(python):
    def receive(_):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        python.execute("1", receive=receive)
    assert python.execute("1").status == "ok"


def test_a_callback_may_interrupt(python):
    heard = []

    def interrupt(message):
        if message.msg_type == "stream" and not heard:  # one line can be two messages
            heard.append(message)
            python.interrupt()

    result = python.execute(
        "print('on', flush=True)\nimport time\nwhile True: time.sleep(0.1)", receive=interrupt
    )
    assert result.error.ename == "KeyboardInterrupt"


def test_a_callback_that_would_wait_for_itself_is_an_error(python):
    with pytest.raises(UsageError, match="callback"):
        python.execute("1", receive=lambda _: python.execute("2"))
    assert python.execute("1").status == "ok"


def test_ctrl_c_ends_the_wait_and_not_the_kernel(python):
    on = threading.Event()

    def ctrl_c():
        on.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Thread(target=ctrl_c)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        python.execute(
            "print('on', flush=True)\nimport time; time.sleep(0.5); done = 'yes'",
            receive=lambda message: on.set() if message.msg_type == "stream" else None,
        )
    timer.join()
    assert text(python.execute("print(done)")) == "yes\n"


def test_errors_of_launching_pass():
    with pytest.raises(KernelTypeNotFound), blocking.launch("no-such-kernel"):
        pass


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_exceptions_of_the_block_pass_and_end_the_kernel(error):
    raised = error("mine")
    with pytest.raises(error) as caught, blocking.launch("python3") as kernel:
        raise raised
    assert caught.value is raised
    assert isinstance(kernel.status, Exited)


def test_death_restart_and_shutdown():
    with blocking.launch("python3") as kernel:
        kernel.execute("x = 1")
        kernel.restart()
        assert kernel.execute("x").error.ename == "NameError"
        with pytest.raises(KernelDied, match="exit code 3"):
            kernel.execute("import os; os._exit(3)")
        assert kernel.process.wait().code == 3
        assert kernel.shutdown().code == 3


def test_ctrl_c_while_a_kernel_starts_leaves_nothing(tmp_path):
    mark = tmp_path / "pid"
    spec = kernel.KernelSpec(
        name="slow",
        argv=("sh", "-c", f"echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 1000"),
        display_name="",
        language="",
    )

    def ctrl_c():
        deadline = time.monotonic() + 20
        while not mark.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Thread(target=ctrl_c)
    timer.start()
    with pytest.raises(KeyboardInterrupt), blocking.launch(spec, rendezvous="hold"):
        pass
    timer.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


SCRIPT = """
import os, moorage
with moorage.blocking.launch() as kernel:
    assert kernel.execute("1").status == "ok"
    child = os.fork()
    if child == 0:
        with moorage.blocking.launch() as own:
            os._exit(0 if own.execute("1").status == "ok" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kernel.execute("1").status == "ok"
print("well")
"""


@pytest.mark.parametrize("flags", [["-W", "error"], ["-X", "dev"]])
def test_a_forked_child_gets_a_portal_of_its_own_and_the_end_is_quiet(flags):
    if sys.version_info >= (3, 12) and flags == ["-W", "error"]:
        flags = ["-W", "error", "-W", "ignore::DeprecationWarning"]  # of forking with threads
    done = subprocess.run(
        [sys.executable, *flags, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("well\n", 0), done.stderr
    assert "ResourceWarning" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kernel_without_a_block_ends_when_it_is_closed():
    kernel = blocking.start("python3")
    assert kernel.execute("6 * 7").text == "42\n"
    assert repr(kernel) == f"<StartedKernel python3 running, pid {kernel.process.pid}, {kernel.rendezvous}>"
    kernel.close()
    assert isinstance(kernel.status, Exited)
    kernel.close()
    with blocking.start("python3") as kernel:
        assert kernel.execute("1").status == "ok"
    assert isinstance(kernel.status, Exited)


def test_starting_takes_what_launching_takes():
    assert inspect.signature(blocking.start).parameters == inspect.signature(blocking.launch).parameters


def test_after_the_block_an_error_says_that_it_has_ended():
    with blocking.launch("python3") as kernel:
        pass
    with pytest.raises(UsageError, match="the kernel's block has ended"):
        kernel.execute("1")


STARTED = """
import moorage
kernel = moorage.blocking.start()
print(kernel.process.pid)
"""

FORGOTTEN = """
import os, moorage
block = moorage.blocking.launch()
kernel = block.__enter__()
print(kernel.process.pid)
"""

UNWOUND = """
import os, sys, moorage
from moorage.errors import UsageError
with moorage.blocking.launch() as kernel:
    child = os.fork()
    if child == 0:
        try:
            kernel.execute("1")
        except UsageError:
            sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert kernel.execute("1").status == "ok"
print(kernel.process.pid)
"""


@pytest.mark.parametrize(
    "code",
    [FORGOTTEN, UNWOUND, STARTED],
    ids=["a block never left", "a fork that leaves it", "a kernel never closed"],
)
def test_the_end_is_quiet_and_leaves_no_kernel(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
