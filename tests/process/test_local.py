"""Processes on this machine: how they start, what they see, how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from limited_group import limited_group
from moorage.errors import LaunchError, WardenLost
from moorage.process import procfs
from moorage.process.base import LocalSpec
from moorage.process.local import LocalLauncher, Warden
from moorage.process.options import ProcessOptions

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="launching needs Linux")]


@pytest.mark.parametrize("code", [0, 3, 255])
async def test_an_exit_code_is_told_as_it_is(launcher, spec, code):
    async with launcher.launch(spec(f"import os; os._exit({code})")) as handle:
        status = await handle.wait()
        assert (status.code, status.signal, status.out_of_memory) == (code, None, False)
        assert status.peak_memory > 1_000_000
        assert handle.exit_status == status


@pytest.mark.parametrize("signum", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
async def test_a_deadly_signal_is_told_as_it_is(launcher, spec, signum):
    async with launcher.launch(
        spec("import os, sys; os.kill(os.getpid(), int(sys.argv[1]))", str(int(signum)))
    ) as handle:
        status = await handle.wait()
        assert (status.code, status.signal, status.out_of_memory) == (None, signum, False)


@pytest.mark.parametrize(
    ("argv", "cwd", "why"),
    [
        (["no-such-program-here"], "/", "no directory of its PATH"),
        (["/no/such/program"], "/", "there is no program '/no/such/program'"),
        (["true"], "/no/such/directory", "there is no directory '/no/such/directory'"),
        (["true"], "/etc/passwd", "is not a directory"),
        (["{tmp}/plain"], "/", "it is not executable"),
        (["{tmp}/script"], "/", "names the interpreter '/no/such/interpreter'"),
        (["{tmp}/garbage"], "/", "neither a program for this machine"),
        (["true", "a\0b"], "/", "zero byte"),
        (["true", *["x" * 100_000] * 30], "/", "too long"),
    ],
)
async def test_what_cannot_start_says_why_and_what_to_do(launcher, spec, tmp_path, argv, cwd, why):
    for name, text, mode in [
        ("plain", "x", 0o644),
        ("script", "#!/no/such/interpreter -x\n", 0o755),
        ("garbage", "\1\2\3\4", 0o755),
    ]:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    with pytest.raises(LaunchError) as caught:
        async with launcher.launch(spec([part.replace("{tmp}", str(tmp_path)) for part in argv], cwd=cwd)):
            pass
    assert why in str(caught.value)
    assert caught.value.do


async def test_a_program_is_looked_up_on_the_childs_path(launcher, tmp_path):
    program = tmp_path / "only-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    async with launcher.launch(LocalSpec(("only-here",), "/", {"PATH": str(tmp_path)})) as handle:
        assert (await handle.wait()).code == 0
        assert handle.output() == "found\n"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root starts others' processes")
async def test_a_program_is_looked_up_though_the_user_may_not_read_the_library_of_this_python(launcher):
    """os.execvpe imports a module for that, in the process that is another user's already."""
    process = ProcessOptions(user="nobody")
    async with launcher.launch(
        LocalSpec(("id", "-u"), "/", {"PATH": "/usr/bin:/bin"}, process=process)
    ) as handle:
        assert (await handle.wait()).code == 0
        assert handle.output() == "65534\n"


async def test_arguments_directory_and_environment_arrive_intact(launcher, tmp_path):
    code = "import os, sys, json; print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]))"
    odd = "caf\udce9 \n 'ü'"
    argv = (sys.executable, "-c", code, "", "a b", odd)
    env = {"ONLY": "this", "ODD": odd, "BIG": "x" * 120_000, "PYTHONUTF8": "1"}
    async with launcher.launch(LocalSpec(argv, str(tmp_path), env, keep_output=1 << 20)) as handle:
        assert (await handle.wait()).code == 0
        arguments, cwd, seen = json.loads(handle.output())
    assert arguments == ["", "a b", odd]
    assert cwd == str(tmp_path)
    assert seen.pop("MOORAGE_LAUNCH") == handle.id
    seen.pop("LC_CTYPE", None)  # CPython's own, PEP 538
    assert seen == env


async def test_a_large_environment_does_not_need_a_large_socket(launcher, spec):
    env = {f"LARGE_{n}": "x" * 100_000 for n in range(12)}
    code = "import os; print(sum(len(v) for k, v in os.environ.items() if k.startswith('LARGE')))"
    async with launcher.launch(spec(code, env=env)) as handle:
        await handle.wait()
        assert handle.output() == "1200000\n"


async def test_the_child_sees_a_clean_process(launcher, spec):
    code = """
import os, signal, sys
print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1], sys.stdin.read() == '')
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getsid(0) == os.getpid() == os.getpgrp())
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
# CPython itself ignores SIGPIPE and SIGXFSZ; glibc's posix_spawn, which make uses, leaves 32 and 33 ignored.
print(int(status['SigIgn'], 16) & ~(1 << 12 | 1 << 24 | 3 << 31))
"""
    async with launcher.launch(spec(code)) as handle:
        await handle.wait()
        assert handle.output() == "[0, 1, 2] True\nset() True\n0\n"


async def test_a_passed_descriptor_becomes_stdin(launcher, spec):
    reader, writer = os.pipe()
    try:
        async with launcher.launch(spec("import sys; print(sys.stdin.read())", stdin=reader)) as handle:
            os.close(reader)
            os.write(writer, b"hello")
            os.close(writer)
            await handle.wait()
            assert handle.output() == "hello\n"
    finally:
        pass


async def test_last_words_are_there_when_the_death_is_told(launcher, spec):
    code = "import os; os.write(2, b'y' * 60000 + b'last words'); os.kill(os.getpid(), 9)"
    for _ in range(5):
        async with launcher.launch(spec(code)) as handle:
            await handle.wait()
            assert handle.output().endswith("last words")


async def test_a_grandchild_that_holds_the_pipe_does_not_delay_the_death(launcher, spec):
    code = "import os, time\nprint('parent', flush=True)\nif os.fork() == 0: time.sleep(3600)\nos._exit(4)"
    async with launcher.launch(spec(code)) as handle:
        async with asyncio.timeout(10):
            assert (await handle.wait()).code == 4
        assert handle.output() == "parent\n"


async def test_a_flood_is_bounded_and_starves_nobody(launcher, spec, until):
    async with launcher.launch(spec(["yes"], keep_output=10_000)) as handle:
        turns = 0
        until_then = time.monotonic() + 0.5
        while time.monotonic() < until_then:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 100
        assert len(handle.output()) == 10_000
        await handle.kill()
    assert set(handle.output()) == {"y", "\n"}


async def test_stdout_and_stderr_come_in_order_of_arrival(launcher, spec, until):
    code = """
import sys
for n in range(3):
    print(n, flush=True)
    sys.stdin.readline()
    print('e', n, file=sys.stderr, flush=True)
    sys.stdin.readline()
"""
    reader, writer = os.pipe()
    async with launcher.launch(spec(code, stdin=reader)) as handle:
        os.close(reader)
        for lines in range(1, 7):
            await until(lambda lines=lines: handle.output().count("\n") == lines)
            os.write(writer, b"\n")
        await handle.wait()
        assert handle.output() == "0\ne 0\n1\ne 1\n2\ne 2\n"
    os.close(writer)


async def test_a_signal_reaches_the_whole_group(launcher, spec, until):
    code = """
import os, signal, time
def tell(*_): os.write(1, b'got it\\n'); os._exit(0)
signal.signal(signal.SIGINT, tell)
os.fork()
os.write(1, b'ready\\n')
time.sleep(3600)
"""
    async with launcher.launch(spec(code)) as handle:
        await until(lambda: handle.output().count("ready") == 2)
        handle.send_signal(signal.SIGINT)
        assert (await handle.wait()).code == 0
        await until(lambda: handle.output().count("got it") == 2)
        handle.send_signal(signal.SIGTERM)  # too late: nothing happens


async def test_a_signal_reaches_a_leader_that_left_its_group(launcher, spec, until):
    code = """
import os, time
pid = os.fork()
if pid == 0: os.setpgid(0, 0); os.write(1, b'x'); time.sleep(3600)
while os.getpgid(pid) != pid: time.sleep(0.001)
os.setpgid(0, pid)
os.write(1, b'x')
time.sleep(3600)
"""
    code = code.replace(
        "os.setpgid(0, pid)", "pass"
    )  # a session leader cannot; that it leads one is our doing
    async with launcher.launch(spec(code)) as handle:
        await until(lambda: handle.output() == "xx")
        handle.send_signal(signal.SIGTERM)
        assert (await handle.wait()).signal == signal.SIGTERM


async def test_kill_takes_the_whole_tree(family, alive):
    async with family("plain", "setsid", "daemon", "stopped") as (handle, pids):
        assert len(pids) == 5
        status = await handle.kill()
        assert status.signal == signal.SIGKILL
        assert not [kind for kind, pid in pids.items() if alive(pid)]
        assert await handle.kill() == status


async def test_leaving_the_block_takes_what_an_ended_process_left_behind(family, alive):
    async with family("plain", "setsid", "daemon", "exit") as (handle, pids):
        assert (await handle.wait()).code == 3
        assert alive(pids["daemon"])
    assert not [kind for kind, pid in pids.items() if alive(pid)]


async def test_a_fork_bomb_is_put_out(family, alive):
    async with family("bomb") as (handle, _):
        await asyncio.sleep(0)
    assert not [pid for pid in procfs.table() if procfs.marker(pid) == handle.id]


async def test_one_family_is_killed_and_the_other_lives(family, alive):
    async with family() as (_, spared):
        async with family() as (_, pids):
            pass
        assert not any(alive(pid) for pid in pids.values())
        assert all(alive(pid) for pid in spared.values())


async def test_an_orphan_without_environment_dies_with_the_warden(alive, until, spec):
    async with Warden.open() as warden:
        launcher = LocalLauncher(warden)
        program = str(Path(__file__).parent / "files" / "family.py")
        async with launcher.launch(spec([sys.executable, program, "wiped"])) as handle:
            await until(lambda: handle.output().count("\n") == 2)
            pid = int(handle.output().split()[-1])
    assert not alive(pid)


async def test_many_wait_and_cancelling_one_disturbs_nobody(launcher, spec):
    async with launcher.launch(spec("input()", stdin=(pipe := os.pipe())[0])) as handle:
        os.close(pipe[0])
        seen = []

        async def one():
            seen.append(await handle.wait())

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(20)]
            await asyncio.sleep(0)
            tasks[3].cancel()
            await asyncio.sleep(0)
            os.close(pipe[1])
        assert len(seen) == 19
        assert len(set(seen)) == 1


async def test_cancelling_a_block_still_kills_the_tree(family, alive):
    pids = {}
    inside = asyncio.Event()

    async def run():
        async with family() as (_, found):
            pids.update(found)
            inside.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        await inside.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # once more, while it is being killed
    assert task.cancelled()
    assert not any(alive(pid) for pid in pids.values())


async def test_cancelling_while_it_starts_leaves_nothing(launcher, warden, spec, until):
    for turns in range(8):

        async def run():
            async with launcher.launch(spec("import time; time.sleep(3600)")):
                await asyncio.Event().wait()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(run())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
    assert [one.pid for one in procfs.table().values() if one.ppid == warden.pid and not one.dead] == []


async def test_memory_counts_descendants(launcher, spec, until):
    code = """
import os, time
shared = b'x' * 50_000_000
os.fork()
own = b'x' * 20_000_000
print('r', flush=True)
time.sleep(3600)
"""
    async with launcher.launch(spec(code)) as handle:
        await until(lambda: handle.output().count("r") == 2)
        assert 130_000_000 < handle.memory() < 220_000_000
        await handle.kill()
        assert handle.memory() is None


async def test_no_descriptor_is_left_open(spec):
    async def once():
        async with Warden.open() as warden:
            launcher = LocalLauncher(warden)
            async with launcher.launch(spec(["true"])) as handle:
                await handle.wait()
            async with launcher.launch(spec(["sleep", "3600"])):
                pass
            with pytest.raises(LaunchError):
                async with launcher.launch(spec(["no-such-program-here"])):
                    pass

    await once()
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    await once()
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before


async def test_a_lost_warden_is_told_to_every_waiter_and_takes_its_kernels_along(spec, alive, until):
    pids = {}
    program = str(Path(__file__).parent / "files" / "family.py")
    async with Warden.open() as warden:
        launcher = LocalLauncher(warden)
        async with launcher.launch(spec([sys.executable, program])) as handle:
            await until(lambda: handle.output().count("\n") == 4)
            pids = {kind: int(pid) for kind, pid in map(str.split, handle.output().splitlines())}
            os.kill(warden.pid, signal.SIGKILL)
            async with asyncio.timeout(10):
                for what in (handle.wait, handle.kill, handle.wait):
                    with pytest.raises(WardenLost):
                        await what()
            handle.send_signal(signal.SIGINT)
            with pytest.raises(WardenLost):
                async with launcher.launch(spec(["true"])):
                    pass
        directory = warden.directory
    await until(lambda: not any(alive(pid) for pid in pids.values()))
    assert not directory.exists()


async def test_thirty_short_lives_ten_at_a_time(launcher, spec):
    async def one(n):
        async with launcher.launch(
            spec([sys.executable, "-S", "-c", f"import os; os._exit({n % 200})"])
        ) as handle:
            assert (await handle.wait()).code == n % 200

    for batch in range(3):
        async with asyncio.TaskGroup() as group:
            for n in range(10):
                group.create_task(one(batch * 10 + n))


MEMORY = Path("/sys/fs/cgroup/memory")


DRIVER = """
import asyncio, json, os, sys
from moorage.process.base import LocalSpec
from moorage.process.local import LocalLauncher, Warden
from moorage.process.options import ProcessOptions
async def main():
    async with Warden.open() as warden:
        for code in ("x = b'x' * 200_000_000", "import os; os.kill(os.getpid(), 9)"):
            spec = LocalSpec((sys.executable, "-c", code), "/", dict(os.environ))
            async with LocalLauncher(warden).launch(spec) as handle:
                status = await handle.wait()
                print(json.dumps([status.signal, status.out_of_memory, status.describe()]))
asyncio.run(main())
"""


async def test_out_of_memory_is_said_only_when_the_counter_says_so():
    group = limited_group(f"moorage-test-{os.getpid()}")
    try:
        command = [
            "sh",
            "-c",
            f'echo $$ > {group}/cgroup.procs && exec "$@"',
            "sh",
            sys.executable,
            "-c",
            DRIVER,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert [json.loads(line) for line in done.stdout.splitlines()] == [
            [9, True, "killed: out of memory"],
            [9, False, "killed by SIGKILL, cause unknown"],
        ], done.stderr
    finally:
        for _ in range(100):
            try:
                group.rmdir()
                break
            except OSError:
                await asyncio.sleep(0.05)
