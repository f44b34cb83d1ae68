"""Keepers under what happens to machines: kills, full disks, floods, no descriptors, no launcher."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keeper.fixtures import exists, place, until
from keeper.raw import DEADLINE, RawKeeper
from limited_group import limited_group
from moorage.errors import DeadlineExceeded, LaunchError
from moorage.keeper.found import find, kill
from moorage.keeper.link import is_stopped
from moorage.keeper.pack import packed
from moorage.keeper.process import record
from moorage.keeper.start import start
from moorage.keeper.tidy import kept_output

pytestmark = [
    pytest.mark.real,
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="subreapers and /proc are Linux's"),
]
__all__ = ["exists", "place", "until"]
resource = pytest.importorskip("resource", reason="limits are Unix's")

FAMILY = (
    "echo $$; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; (setsid sleep 1000 & echo $!);"
    " (env -i setsid sleep 1000 & echo $!); (setsid sleep 1000 > /dev/null 2>&1 & echo $!); wait"
)
"""A charge with children, and orphans in sessions of their own, without its environment, without its pipe."""
MEMBERS = 6
LAUNCHER = """
import asyncio, pathlib, sys
from moorage.keeper.start import start
async def main():
    place, code, lease = sys.argv[1:]
    kept = await start(["sh", "-c", code], directory=pathlib.Path(place), lease=float(lease))
    print(kept.name, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def members(kept) -> list[int]:
    """The pids of a family, once all of it is there."""
    async for status in _statuses(kept):
        if status.output.count("\n") == MEMBERS:
            return [int(line) for line in status.output.split()]
    raise AssertionError("the family is not complete")


async def _statuses(kept):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        yield await kept.status()


def launched(place: Path, code: str, lease: float = 0) -> subprocess.Popen:
    command = [sys.executable, "-c", LAUNCHER, str(place), code, str(lease)]
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    assert launcher.stdout.readline().strip()
    return launcher


def keeper_pid(folder: Path) -> int:
    found = record.read(str(folder))
    assert found is not None
    return found["keeper"]["pid"]


async def test_sigkill_of_the_launcher_loses_nothing(place, exists):
    with launched(place, FAMILY) as launcher:
        launcher.kill()
    (kept,) = (await find(place)).kept
    pids = await members(kept)
    assert all(map(exists, pids))
    status = await kept.end()
    assert status.exit_status.signal == signal.SIGTERM
    assert [pid for pid in pids if exists(pid)] == []
    assert list(place.iterdir()) == []


async def test_sigkill_of_the_keeper_ends_all_and_the_next_look_says_so(place, exists, until):
    kept = await start(["sh", "-c", FAMILY], directory=place)
    pids = await members(kept)
    os.kill(keeper_pid(kept.directory), signal.SIGKILL)
    until(lambda: not exists(pids[0]), "the charge ends at once")
    found = await find(place)
    assert (found.kept, found.silent) == ((), ())
    assert (found.ended[0].status.reason, found.ended[0].status.output.split()) == ("lost", [*map(str, pids)])
    assert [pid for pid in pids if exists(pid)] == []
    assert list(place.iterdir()) == []
    await kept.aclose()


async def test_sigkill_of_the_charge_ends_what_it_started(place, exists):
    kept = await start(["sh", "-c", FAMILY], directory=place)
    pids = await members(kept)
    os.kill(pids[0], signal.SIGKILL)
    status = await kept.wait()
    assert (status.exit_status.signal, status.exit_status.out_of_memory, status.reason) == (9, False, "exit")
    assert [pid for pid in pids if exists(pid)] == []
    await kept.aclose()
    assert list(place.iterdir()) == []


async def test_a_stopped_keeper_is_told_of_and_goes_on_where_it_was(place, exists):
    kept = await start(["sh", "-c", FAMILY], directory=place)
    pids = await members(kept)
    pid = keeper_pid(kept.directory)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(DeadlineExceeded, match=f"process {pid}"):
        await kept.status(within=0.3)
    seen = await find(place, within=0.3)
    assert len(seen.silent) == 1
    os.kill(pid, signal.SIGCONT)
    assert (await kept.status()).state == "running"
    await kept.end(0)
    assert [pid for pid in pids if exists(pid)] == []
    assert list(place.iterdir()) == []


async def test_a_stopped_charge_is_ended_all_the_same(place, exists, until):
    kept = await start(["sh", "-c", FAMILY], directory=place)
    pids = await members(kept)
    await kept.signal(signal.SIGSTOP)
    until(lambda: is_stopped(pids[0]))  # until then SIGTERM would kill it
    status = await kept.end(0.2)
    assert status.exit_status.signal == signal.SIGKILL
    assert [pid for pid in pids if exists(pid)] == []


async def test_the_lease_runs_out_after_the_launcher_has_gone(place, exists, until):
    with launched(place, "echo $$; sleep 1000", lease=0.3) as launcher:
        (folder,) = place.iterdir()
        pid = int(until(lambda: kept_output(folder)))
        assert exists(pid)
        launcher.kill()
    until(lambda: not exists(pid), "the lease runs out")
    until(lambda: not _held(folder))
    (ended,) = (await find(place)).ended
    assert (ended.status.reason, ended.status.describe()) == ("lease", "killed by SIGTERM: its lease ran out")
    assert list(place.iterdir()) == []


def _held(folder: Path) -> bool:
    try:
        os.close(record.lock(str(folder)))
    except BlockingIOError:
        return True
    return False


async def test_a_flood_is_kept_whole_where_there_is_room_and_counted_where_not(place):
    code = "i=0; while [ $i -lt 20000 ]; do echo line $i of a flood; i=$((i+1)); done; echo done"
    whole = "".join(f"line {n} of a flood\n" for n in range(20000)) + "done\n"
    large = await start(["sh", "-c", code], directory=place, log=4 << 20)
    small = await start(["sh", "-c", code], directory=place, log=64 << 10)
    seen = [status async for status in large.watch()]
    assert seen[-1].written == len(whole)
    assert seen[-1].dropped == 0
    assert kept_output(large.directory) == whole
    assert seen[-1].output == whole[-8192:]
    status = await small.wait()
    kept = kept_output(small.directory)
    assert whole.endswith(kept)
    assert 32 << 10 <= len(kept) <= 64 << 10
    assert (status.written, status.dropped) == (len(whole), len(whole) - len(kept))
    for each in (large, small):
        await each.aclose()
    assert list(place.iterdir()) == []


FULL = """
import asyncio, json, os, pathlib, sys
from moorage.keeper.start import start
from moorage.keeper.tidy import kept_output
from moorage.process import procfs
from moorage.keeper.link import is_stopped
from moorage.keeper.pack import packed
from moorage.keeper.process import record
place, foreign = pathlib.Path(sys.argv[1]), sys.argv[2] == "foreign"
async def main():
    code = "read x; i=0; while [ $i -lt 20000 ]; do echo line $i of a flood; i=$((i+1)); done; echo FLOODED; "
    code += "read x; echo after; read x"
    os.mkfifo(place / "go")
    kept = await start(["sh", "-c", f"exec < {place}/go; " + code], directory=place / "kept", log=4 << 20)
    go = open(place / "go", "w")
    if foreign:  # the rest of the disk is another program's
        with open(place / "other", "wb", 0) as other:
            try:
                while other.write(b"x" * 4096): pass
            except OSError: pass
    print("go", file=go, flush=True)
    while "FLOODED" not in (await kept.status()).output: pass
    flooded = await kept.status()
    (place / "other").unlink(missing_ok=True)
    print("go", file=go, flush=True)
    while "after" not in (await kept.status()).output: pass
    status = await kept.end()
    text = kept_output(kept.directory)
    return {"dropped": flooded.dropped, "written": flooded.written, "text": text[-300:], "size": len(text),
            "ended": status.ended, "last": status.dropped, "reason": status.reason}
async def watched():
    import moorage.keeper.kept as module
    module.tidy = lambda directory: None  # the log is looked at after the end
    answer = await main()
    print(json.dumps(answer))
asyncio.run(watched())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare(1) of util-linux is missing")
@pytest.mark.parametrize("whose", ["own", "foreign"])
async def test_a_full_disk_costs_the_oldest_output_and_says_so(place, whose):
    mounted = 'mount -t tmpfs -o size=128k,mode=700 small "$1" && exec "$2" -c "$3" "$1" "$4"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, "sh", str(place), sys.executable, FULL, whose],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["written"] > 400_000
    assert told["written"] - 128 * 1024 < told["dropped"] < told["written"] + 1
    assert (told["ended"], told["reason"]) == (True, "asked")
    if whose == "own":
        assert told["text"].endswith("FLOODED\nafter\n"), "the newest is there"
        assert told["size"] + told["last"] == told["written"] + len("after\n"), "and all else is counted"
    else:
        assert "bytes of output are missing here: No space left on device]\nafter\n" in told["text"]


async def test_without_descriptors_links_are_refused_with_a_word_and_nothing_else_is_lost(place, exists):
    (place / "one").mkdir(mode=0o700)
    keeper = RawKeeper(place / "one", limit=["sh", "-c", 'ulimit -n 20; exec "$@"', "sh"])
    try:
        told = keeper.begin("sh", "-c", "sleep 1000")
        links = [keeper.link() for _ in range(40)]
        first = [each.get() for each in links]
        refused = [told for told in first if told["tell"] == "dropped"]
        assert refused
        assert all("no descriptor left" in told["why"] for told in refused)
        served = [each for each, told in zip(links, first, strict=True) if told["tell"] == "hello"]
        assert all(each.ask("status")["state"] == "running" for each in [keeper.first, *served])
        for each in links:
            each.channel.close()
        deadline = time.monotonic() + DEADLINE
        while keeper.link().get()["tell"] != "hello":
            assert time.monotonic() < deadline
        keeper.first.ask("end", grace=0)
        keeper.first.state("ended")
        assert not exists(told["pid"])
    finally:
        keeper.close()


async def test_a_launcher_without_descriptors_says_so_and_leaves_nothing(place):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[0] + 40, before[1]))
    try:
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    try:
        while opened:
            try:
                kept = await start(["sleep", "1000"], directory=place)
            except LaunchError:
                os.close(opened.pop())
                assert list(place.iterdir()) == []
                continue
            await kept.end(0)
            break
    finally:
        for each in opened:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert opened, "it was started before all were given back"
    assert list(place.iterdir()) == []


async def test_many_at_once_are_kept_found_and_ended(place, exists):
    kept = [await start(["sh", "-c", "sleep 1000 & wait"], directory=place) for _ in range(8)]
    pids = [each.pid for each in kept]
    for each in kept:
        await each.aclose()
    found = await find(place)
    assert sorted(each.pid for each in found.kept) == sorted(pids)
    for each in found.kept:
        await each.end(0)
    assert [pid for pid in pids if exists(pid)] == []
    assert list(place.iterdir()) == []


async def test_two_lookers_tidy_once(place):
    kept = await start(["true"], directory=place)
    await kept.wait()
    kept._link.close()
    code = "import asyncio, pathlib, sys\nfrom moorage.keeper.found import find\n"
    code += "print(len(asyncio.run(find(pathlib.Path(sys.argv[1]))).ended))"
    lookers = [
        subprocess.Popen([sys.executable, "-c", code, place], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [int(each.communicate(timeout=60)[0]) for each in lookers]
    assert [each.returncode for each in lookers] == [0] * 4
    assert sum(told) <= 1
    await kill(kept.directory)
    assert list(place.iterdir()) == []


async def test_looking_all_the_time_disturbs_no_start_and_no_end(place):
    code = "import asyncio, os, pathlib, sys\nfrom moorage.keeper.found import find\n"
    code += "async def main():\n"
    code += "    parent = os.getppid()\n"
    code += "    while os.getppid() == parent and not pathlib.Path(sys.argv[1], 'stop').exists():\n"
    code += "        found = await find(pathlib.Path(sys.argv[1]))\n"
    code += "        for each in found.kept: await each.aclose()\n"
    code += "        assert not found.silent, found\n"
    code += "        assert all(each.status.reason == 'asked' for each in found.ended), found\n"
    code += "asyncio.run(main())"
    lookers = [
        subprocess.Popen([sys.executable, "-c", code, place], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for number in range(6):
            kept = await start(["sleep", "1000"], directory=place, name=f"work{number % 2}")
            assert (await kept.status()).state == "running"
            await kept.end(0)
    finally:
        (place / "stop").touch()
        told = [each.communicate(timeout=60)[1] for each in lookers]
    assert told == [""] * 2
    assert [path.name for path in place.iterdir()] == ["stop"]


@pytest.mark.parametrize(
    ("code", "starved"), [("x = b'x' * 200_000_000", True), ("import os; os.kill(os.getpid(), 9)", False)]
)
async def test_out_of_memory_is_said_only_when_the_counter_says_so(place, until, code, starved):
    group = limited_group(place.name)
    (place / "one").mkdir(mode=0o700)
    try:
        into = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
        keeper = RawKeeper(place / "one", limit=into)
        try:
            keeper.begin(sys.executable, "-c", code)
            ended = keeper.first.state("ended")["ended"]
            assert (ended["signal"], ended["oom"]) == (9, starved)
            keeper.first.end()
        finally:
            keeper.close()
    finally:
        until(lambda: _gone(group), "the group is empty")


def _gone(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True


async def test_a_keeper_takes_little_memory(place):
    """PSS: this interpreter's pages are shared with this process, as they are with a launcher or a server."""
    kept = await start(["sleep", "1000"], directory=place)
    for _ in range(100):
        await kept.status()
    lines = Path(f"/proc/{keeper_pid(kept.directory)}/smaps_rollup").read_text().splitlines()
    pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    await kept.end(0)
    assert pss <= 8 * 1024


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes programs that run as root for others")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv(1) of util-linux is missing")
@pytest.mark.skipif(not os.access("/usr/bin/python3", os.X_OK), reason="there is no /usr/bin/python3")
@pytest.mark.parametrize("by", ["asked", "lease"])
async def test_a_charge_that_may_not_be_signalled_is_told_of(place, exists, until, by):
    """A keeper without privileges, and a charge that has them: sudo, for instance."""
    program, become = place / "packed.py", place / "setpriv"
    program.write_text(packed())
    shutil.copy(shutil.which("setpriv"), become)
    become.chmod(0o4755)
    place.chmod(0o755)
    (place / "one").mkdir(mode=0o700)
    os.chown(place / "one", 65534, 65534)
    unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    keeper = RawKeeper(place / "one", python="/usr/bin/python3", program=program, limit=unprivileged)
    pid = 0
    try:
        pid = keeper.begin(
            str(become), "--reuid=0", "--regid=0", "--clear-groups", "sleep", "1000", grace=0.2
        )["pid"]
        until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])
        keeper.first.send(do="signal", signum=15, ref="signal")
        told = keeper.first.get(lambda message: message.get("ref") == "signal")
        assert (told["tell"], told["why"]) == ("refused", "Operation not permitted")
        if by == "lease":
            keeper.first.ask("lease", seconds=0.1)
            keeper.first.ask("detach")
        else:
            assert keeper.first.ask("end", grace=0.2)["tell"] == "done"
        told = keeper.first.state("ended")
        assert (told["left"], told["ended"], told["reason"]) == (1, None, by)
        keeper.first.end()
        assert exists(pid)
    finally:
        if pid and exists(pid):
            os.kill(pid, signal.SIGKILL)
        keeper.close()
