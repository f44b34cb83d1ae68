"""Launches one after the other, nothing held open, no option: forked from the second on."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.real

# What a kernel says of itself: a template freezes all it has made, Python 3.12 itself a few hundred.
SAY = "import gc; print('forked' if gc.get_freeze_count() > 5000 else 'spawned')"
COMMON = f"""
import asyncio, threading
import moorage
SAY = {SAY!r}
async def one():
    async with moorage.launch("python3") as kernel:
        return (await kernel.execute(SAY)).outputs[0]["text"].strip()
def blocking():
    with moorage.blocking.launch("python3") as kernel:
        return kernel.execute(SAY).outputs[0]["text"].strip()
"""
LOOPS = {
    "one loop": """
async def main():
    for _ in range(3):
        print(await one())
asyncio.run(main())
""",
    "a loop each": """
for _ in range(3):
    print(asyncio.run(one()))
""",
    "a thread each": """
for _ in range(3):
    thread = threading.Thread(target=lambda: print(asyncio.run(one())))
    thread.start()
    thread.join()
""",
    "blocking": """
for _ in range(3):
    print(blocking())
""",
    "blocking in a running loop": """
async def main():
    for _ in range(3):
        print(blocking())
asyncio.run(main())
""",
    "blocking in threads": """
for _ in range(3):
    thread = threading.Thread(target=lambda: print(blocking()))
    thread.start()
    thread.join()
""",
    "the plug": """
import os
os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "moorage"
from jupyter_client.manager import start_new_kernel
for _ in range(3):
    manager, client = start_new_kernel(kernel_name="python3")
    def say(message):
        if message["msg_type"] == "stream":
            print(message["content"]["text"].strip())
    client.execute_interactive(SAY, output_hook=say)
    client.stop_channels()
    manager.shutdown_kernel()
""",
    "after a fork": """
import os
print(asyncio.run(one()))
print(asyncio.run(one()))
if os.fork() == 0:
    assert asyncio.run(one()) == "spawned"
    os._exit(0)
assert os.wait()[1] == 0
print(asyncio.run(one()))
""",
}


def ran(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, *flags, "-c", COMMON + code]
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=True)


@pytest.mark.parametrize("loop", LOOPS)
def test_launches_are_forked_from_the_second_on(loop: str) -> None:
    assert ran(LOOPS[loop]).stdout.split() == ["spawned", "forked", "forked"]


def test_nothing_is_said_of_what_is_kept() -> None:
    assert ran(LOOPS["a loop each"], "-W", "always").stderr == ""


def test_a_session_of_pytest_with_a_loop_for_each_test(tmp_path) -> None:
    (tmp_path / "test_it.py").write_text(
        COMMON
        + """
import pytest
SEEN = []
@pytest.mark.anyio
@pytest.mark.parametrize("number", range(3))
async def test_one(number, anyio_backend):
    SEEN.append(await one())
def test_all():
    assert SEEN == ["spawned", "forked", "forked"]
@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_single_launch_makes_no_template() -> None:
    script = """
import os
print(asyncio.run(one()))
from moorage.process import procfs
found = [open(f"/proc/{pid}/cmdline").read() for pid in procfs.roots(procfs.table(), os.getpid())]
assert any("warden/main.py" in words for words in found)
assert not any("moorage_template" in words for words in found)
moorage.close()
assert not procfs.roots(procfs.table(), os.getpid())
"""
    assert ran(script).stdout.split() == ["spawned"]
