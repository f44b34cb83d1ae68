from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from moorage.notebooks.jobserver import (
    Fifo,
    GiveBackPlan,
    Jobserver,
    Pipe,
    Unusable,
    advertised,
    find,
    give_back,
    jobs_of,
)

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.mark.parametrize(
    ("flags", "place"),
    [
        ("", None),
        (" -j", None),
        ("kw -j4 --jobserver-auth=3,4", Pipe(3, 4)),
        (" -j4 --jobserver-fds=5,6 -j", Pipe(5, 6)),
        (" -j --jobserver-auth=3,4 --jobserver-auth=7,8", Pipe(7, 8)),
        (" -j4 --jobserver-auth=fifo:/tmp/GMfifo12", Fifo("/tmp/GMfifo12")),
        (" --jobserver-auth=3,4 --jobserver-auth=fifo:/tmp/x", Fifo("/tmp/x")),
        (" -j4 --jobserver-auth=-2,-2", Pipe(-2, -2)),
        (" -j4 -- X=1 --jobserver-auth=3,4", None),
        (" --jobserver-auth=nonsense --jobserver-auth", None),
    ],
)
def test_what_makeflags_say(flags, place):
    assert advertised(flags) == place


def test_closed_and_foreign_descriptors_are_not_a_jobserver(tmp_path):
    assert find({}) is None
    first, second = os.pipe(), os.pipe()
    try:
        flags = {"MAKEFLAGS": f" --jobserver-auth={first[0]},{first[1]}"}
        assert find(flags) == Pipe(*first)
        crossed = find({"MAKEFLAGS": f" --jobserver-auth={first[0]},{second[1]}"})
        assert isinstance(crossed, Unusable)
        assert "mark the recipe with +" in crossed.reason
    finally:
        for descriptor in (*first, *second):
            os.close(descriptor)
    assert isinstance(find(flags), Unusable)
    assert isinstance(find({"MAKEFLAGS": "--jobserver-auth=-2,-2"}), Unusable)
    assert isinstance(find({"MAKEFLAGS": f"--jobserver-auth=fifo:{tmp_path}/gone"}), Unusable)


@pytest.fixture(params=["pipe", "fifo"])
def server(request, tmp_path):
    """Yields a place and a function that reads every token there is."""
    if request.param == "pipe":
        read, write = os.pipe()
        place = Pipe(read, write)
    else:
        path = str(tmp_path / "fifo")
        os.mkfifo(path)
        place, read = Fifo(path), os.open(path, os.O_RDWR)
        write = read
    os.write(write, b"+-x")
    flags = fcntl.fcntl(read, fcntl.F_GETFL)

    def drain() -> bytes:
        assert fcntl.fcntl(read, fcntl.F_GETFL) == flags, "make's own flags are not ours to change"
        os.set_blocking(read, False)
        try:
            return bytes(sorted(os.read(read, 99)))
        except BlockingIOError:
            return b""
        finally:
            os.set_blocking(read, True)

    yield place, drain
    for descriptor in {read, write}:
        os.close(descriptor)


@pytest.mark.anyio
async def test_tokens_come_and_the_same_bytes_go_back(server):
    place, drain = server
    came, plans = asyncio.Queue(), []
    async with Jobserver(place, gained=lambda: came.put_nowait(None), changed=plans.append) as jobserver:
        jobserver.want(2)
        assert jobserver.held == 0
        async with asyncio.timeout(30):
            await came.get()
            await came.get()
        assert (jobserver.held, plans[-1].tokens) == (2, b"+-")
        assert jobserver.give_back_plan() == plans[-1]
        jobserver.give_back(1)
        assert plans[-1].tokens == b"+"
        with pytest.raises(ValueError, match="2 tokens to give back, 1 held"):
            jobserver.give_back(2)
        jobserver.want(5)
        async with asyncio.timeout(30):
            await came.get()
            await came.get()
        assert drain() == b""
        assert jobserver.held == 3
    assert plans[-1].tokens == b""
    assert drain() == b"+-x"


@pytest.mark.anyio
async def test_a_withdrawn_wish_takes_nothing(server):
    place, drain = server
    came: asyncio.Queue[None] = asyncio.Queue()
    async with Jobserver(place, gained=lambda: came.put_nowait(None)) as jobserver:
        jobserver.want(3)
        jobserver.want(0)
        jobserver.want(1)
        async with asyncio.timeout(30):
            await came.get()
        assert drain() == b"-x"
        for token in (b"-x", b""):  # nothing more is read although there is more
            give_back(GiveBackPlan(jobserver.give_back_plan().write, token))
        await asyncio.sleep(0)
        assert jobserver.held == 1
    assert drain() == b"+-x"


@pytest.mark.anyio
async def test_tokens_go_back_when_the_block_is_left_by_an_exception(server):
    place, drain = server
    came = asyncio.Event()

    async def fail() -> None:
        async with Jobserver(place, gained=came.set) as jobserver:
            jobserver.want(1)
            async with asyncio.timeout(30):
                await came.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert drain() == b"+-x"


def test_giving_back_to_a_make_that_is_gone_is_no_error(tmp_path):
    give_back(GiveBackPlan(str(tmp_path / "gone"), b"+"))
    read, write = os.pipe()
    os.close(read)
    give_back(GiveBackPlan(write, b"+"))
    os.close(write)


CLIENT = """
    import asyncio, os, sys
    from moorage.notebooks.jobserver import Jobserver, find

    def log(word):
        descriptor = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{word} {sys.argv[1]}\\n".encode())
        os.close(descriptor)

    async def work():
        log("start")
        await asyncio.sleep(0.03)  # the job itself
        log("end")

    async def main():
        place = find(os.environ)
        jobs, running = 12, 0
        wake = asyncio.Event()
        async with asyncio.TaskGroup() as group, Jobserver(place, gained=wake.set) as jobserver:
            tasks = set()
            while jobs or tasks:
                while jobs and len(tasks) < 1 + jobserver.held:
                    task = group.create_task(work())
                    task.add_done_callback(lambda task: (tasks.discard(task), wake.set()))
                    tasks.add(task)
                    jobs -= 1
                jobserver.want(jobs)
                jobserver.give_back(max(0, jobserver.held - max(0, len(tasks) - 1)))
                wake.clear()
                await wake.wait()

    asyncio.run(main())
"""

KILLED = """
    import asyncio, os, signal, subprocess, sys
    from moorage.notebooks.jobserver import Fifo, GiveBackPlan, Jobserver, find, give_back

    async def main():
        def told(plan):
            print(plan.tokens.hex(), flush=True)
            if len(plan.tokens) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        async with Jobserver(find(os.environ), gained=lambda: None, changed=told) as jobserver:
            jobserver.want(2)
            await asyncio.Event().wait()

    if sys.argv[1] == "child":
        asyncio.run(main())
    else:  # stands for the warden: has the write end, hears what is held, outlives the other
        place = find(os.environ)
        passed = () if isinstance(place, Fifo) else (place.read, place.write)
        child = subprocess.run([sys.executable, __file__, "child"], pass_fds=passed, stdout=subprocess.PIPE)
        assert child.returncode == -signal.SIGKILL, child.returncode
        tokens = bytes.fromhex(child.stdout.decode().split()[-1])
        if sys.argv[1] == "give":
            give_back(GiveBackPlan(place.path if isinstance(place, Fifo) else place.write, tokens))
"""


def make(folder, makefile: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "client.py").write_text(textwrap.dedent(script))
    (folder / "Makefile").write_text(textwrap.dedent(makefile).replace("PYTHON", sys.executable))
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", "-s", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_make
def test_two_clients_and_make_run_four_jobs_together(tmp_path):
    done = make(tmp_path, "all: a b\na b:\n\t+PYTHON client.py $@\n", CLIENT, "-j4")
    assert (done.returncode, done.stderr) == (0, "")  # make itself complains when tokens are missing
    running = most = 0
    lines = (tmp_path / "log").read_text().splitlines()
    for line in lines:
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    assert len(lines) == 48
    assert 2 < most <= 4


@needs_make
@pytest.mark.parametrize("how", ["give", "lose"])
def test_tokens_of_a_killed_client_can_be_given_back_by_another(tmp_path, how):
    done = make(tmp_path, f"all:\n\t+PYTHON client.py {how}\n", KILLED, "-j4")
    assert done.returncode == 0
    assert ("should be 4" in done.stderr) is (how == "lose")


@needs_make
def test_a_recipe_without_the_mark_is_told_what_to_do(tmp_path):
    script = "import os\nfrom moorage.notebooks.jobserver import find\nprint(find(os.environ))\n"
    done = make(tmp_path, "all:\n\tPYTHON client.py\n", script, "-j4")
    newer = done.stdout.startswith("Fifo")
    assert newer or "mark the recipe with +" in done.stdout
    assert make(tmp_path, "all:\n\tPYTHON client.py\n", script).stdout == "None\n"


@pytest.mark.parametrize(
    ("flags", "jobs"),
    [
        ("ks -j4 --jobserver-auth=3,4", 4),
        (" -j2 -j12", 12),
        ("-j --jobserver-auth=3,4", None),
        ("-j0", None),
        ("", None),
    ],
)
def test_what_make_allows_in_all(flags, jobs):
    assert jobs_of({"MAKEFLAGS": flags}) == jobs
