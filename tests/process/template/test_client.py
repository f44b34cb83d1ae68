"""Which launch is forked, from which template, and what becomes of it when a template fails."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import shutil
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from moorage.errors import LaunchError
from moorage.process import local, procfs
from moorage.process.base import LocalSpec
from moorage.process.local import LocalLauncher
from moorage.process.template import client
from moorage.process.warden.launched import ChildEnded

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")]

ARGV = (sys.executable, "-m", "ipykernel_launcher", "-f", "kernel.json")
ENV = {"PATH": os.environ["PATH"], "HOME": "/home/ada", "LANG": "C.UTF-8"}


def wanted(argv=ARGV, cwd="/", env=None, **rest):
    return LocalSpec(tuple(argv), cwd, {**ENV, **(env or {})}, **rest)


# -- launches -----------------------------------------------------------------------------------------

# Python 3.12 freezes a few hundred objects of its own, a template all that it has made.
SAY = "import gc, os; os.write(1, b'forked ' if gc.get_freeze_count() > 5000 else b'spawned ')"
STAY = SAY + "; import time; time.sleep(3600)"


async def said(launcher, spec):
    async with launcher.launch(spec) as handle:
        status = await handle.wait()
        assert status.code == 0, handle.output()
        return handle.output().strip()


@pytest.fixture
def template(warden):
    """Return the only template of the warden."""

    def template():
        (one,) = client._templates[warden].made.values()
        return one

    return template


@pytest.fixture
def spare(warden, template, until):
    """Wait until there is a spare, and return its pid."""

    async def spare():
        found = []

        def there():
            mine = template()._process.state.pid
            found[:] = [
                one.pid
                for one in procfs.table().values()
                if one.ppid == warden.pid and one.pid != mine and not one.dead and _is_template(one.pid)
            ]
            return len(found) == 1

        await until(there, "there is no spare")
        return found[0]

    return spare


def _is_template(pid):
    try:
        return b"moorage_template" in procfs.read(f"/proc/{pid}/cmdline")
    except OSError:
        return False


async def test_auto_forks_from_the_second_on(warden, kernel):
    launcher = LocalLauncher(warden, fork="auto")
    assert [await said(launcher, kernel(SAY)) for _ in range(3)] == ["spawned", "forked", "forked"]


async def test_false_never_forks(warden, kernel):
    launcher = LocalLauncher(warden, fork=False)
    assert [await said(launcher, kernel(SAY)) for _ in range(2)] == ["spawned", "spawned"]
    assert warden not in client._templates


async def test_true_forks_at_once_and_from_one_template(forker, kernel, template):
    assert [await said(forker, kernel(SAY)) for _ in range(3)] == ["forked"] * 3
    assert template().alive


async def test_the_first_launch_can_begin_its_template_ahead(warden, forker, kernel, template):
    LocalLauncher(warden, fork="auto").anticipate(kernel(SAY))
    assert warden not in client._templates, "it may not pay"
    forker.anticipate(kernel(SAY))
    begun = template()
    forker.anticipate(kernel(SAY, env={"LANG": "C"}))
    assert await said(forker, kernel(SAY)) == "forked"
    assert template() is begun


async def test_no_template_is_begun_where_a_foreign_file_would_run(warden, forker, kernel, monkeypatch):
    def refuse(spec):
        raise LaunchError("Python would run /tmp/runpy.py")

    monkeypatch.setattr(local, "check_shadow", refuse)
    forker.anticipate(kernel(SAY))
    assert warden not in client._templates
    with pytest.raises(LaunchError, match=r"runpy\.py"):
        await said(forker, kernel(SAY))


async def test_another_early_environment_gets_another_template(warden, forker, kernel):
    for lang in ("C.UTF-8", "C"):
        assert await said(forker, kernel(SAY, env={"LANG": lang})) == "forked"
    assert len(client._templates[warden].made) == 2


async def test_the_template_used_last_stays_and_the_oldest_goes(warden, forker, kernel, until, monkeypatch):
    monkeypatch.setattr(client, "MOST", 2)
    for lang in ("C.UTF-8", "C"):
        assert await said(forker, kernel(SAY, env={"LANG": lang})) == "forked"
    made = client._templates[warden].made
    kept, gone = made.values()
    assert await said(forker, kernel(SAY, env={"LANG": "C.UTF-8"})) == "forked"
    assert await said(forker, kernel(SAY, env={"LANG": "POSIX"})) == "forked"
    assert len(made) == 2
    assert kept in made.values()
    assert not gone.alive
    await until(
        lambda: isinstance(gone._process.state, ChildEnded), "the template that was let go is still there"
    )


async def test_many_at_once_are_all_forked(forker, kernel):
    async def one(number):
        code = "import os, sys, gc; print(gc.get_freeze_count() > 5000, sys.argv[2])"
        return await said(forker, kernel(code, str(number)))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(40)]
    assert [task.result() for task in tasks] == [f"True {number}" for number in range(40)]


@pytest.mark.parametrize(
    ("cwd", "why"), [("/no/such/directory", "there is no directory"), ("/etc/passwd", "is not a")]
)
async def test_a_missing_directory_is_the_same_error_as_spawned(warden, kernel, cwd, why):
    errors = []
    for fork in (False, True):
        with pytest.raises(LaunchError, match=why) as caught:
            async with LocalLauncher(warden, fork=fork).launch(kernel(SAY, cwd=cwd)):
                pass
        errors.append((str(caught.value), caught.value.code, caught.value.do))
    assert errors[0] == errors[1]


async def test_what_no_process_can_have_is_the_same_error_as_spawned(warden, kernel):
    errors = []
    for fork in (False, True):
        with pytest.raises(LaunchError, match="zero byte") as caught:
            async with LocalLauncher(warden, fork=fork).launch(kernel(SAY, "a\0b")):
                pass
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


class TestWhereItCannotBeForked:
    """It is spawned, and nobody waits for anything but that."""

    async def test_an_interpreter_without_ipykernel(self, forker, kernel, tmp_path, template, until):
        program = (shutil.which("python3", path="/usr/bin"), "-I", "-S")
        if program[0] is None:
            pytest.skip("there is no /usr/bin/python3")
        spec = kernel("", program=program)
        async with forker.launch(spec) as handle:
            assert (await handle.wait()).code == 1
            assert "No module named ipykernel_launcher" in handle.output()
        await until(lambda: not template().alive)
        async with forker.launch(spec) as handle:  # no second template
            assert (await handle.wait()).code == 1
        assert not template().alive

    async def test_a_killed_template(self, forker, kernel, template, until):
        assert await said(forker, kernel(SAY)) == "forked"
        os.kill(template()._process.state.pid, signal.SIGKILL)
        first = template()
        await until(lambda: not first.alive)
        assert await said(forker, kernel(SAY)) == "forked"
        assert template() is not first

    async def test_a_template_killed_while_launches_wait_in_its_socket(self, forker, kernel, template, until):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(said(forker, kernel(SAY))) for _ in range(4)]
            await asyncio.sleep(0)  # now all have asked
            await until(lambda: hasattr(template()._process.state, "pid"))
            os.kill(template()._process.state.pid, signal.SIGKILL)
        assert [task.result() for task in tasks] == ["spawned"] * 4

    async def test_a_killed_spare_costs_nothing(self, forker, kernel, spare):
        assert await said(forker, kernel(SAY)) == "forked"
        for _ in range(3):
            os.kill(await spare(), signal.SIGKILL)
            assert await said(forker, kernel(SAY)) == "forked"

    async def test_a_spare_killed_with_its_launch_in_hand(self, forker, kernel, spare):
        assert await said(forker, kernel(SAY)) == "forked"
        os.kill(pid := await spare(), signal.SIGSTOP)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(said(forker, kernel(SAY)))
            await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
        assert task.result() == "forked"  # the next spare finds the packet

    async def test_a_template_whose_spares_all_die_gives_up(
        self, forker, kernel, template, spare, until, alive
    ):
        assert await said(forker, kernel(SAY)) == "forked"
        for _ in range(3):
            os.kill(pid := await spare(), signal.SIGKILL)
            await until(lambda pid=pid: not alive(pid))
        await until(lambda: not template().alive)
        assert template()._process.state.status.code == 1
        assert await said(forker, kernel(SAY)) == "spawned"

    async def test_a_full_socket(self, forker, kernel, template, spare):
        assert await said(forker, kernel(SAY)) == "forked"
        waiting = await spare()
        os.kill(template()._process.state.pid, signal.SIGSTOP)
        os.kill(waiting, signal.SIGSTOP)
        with suppress(BlockingIOError):
            while True:
                template()._channel.send(b"x" * 60000)
        assert await said(forker, kernel(SAY)) == "spawned"


@contextmanager
def no_room(pid):
    """Let a process fork nothing, as where a control group or a user has as many processes as it may."""
    if os.geteuid():
        limits = resource.prlimit(pid, resource.RLIMIT_NPROC, (1, resource.RLIM_INFINITY))
        yield
        resource.prlimit(pid, resource.RLIMIT_NPROC, limits)
        return
    group = _group_of_pids()
    former = next(
        (
            line.split(":")[2]
            for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
            if ":pids:" in line
        ),
        "/",
    )
    (group / "cgroup.procs").write_text(str(pid))
    (group / "pids.max").write_text("1")
    try:
        yield
    finally:
        (group / "pids.max").write_text("max")
        for one in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (group.parent / former.lstrip("/") / "cgroup.procs").write_text(one)
        group.rmdir()


def _group_of_pids():
    why = "there is no controller of process numbers"
    for above in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
        group = above / f"moorage-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError as error:
            why = str(error)
            continue
        if (group / "pids.max").exists():
            return group
        group.rmdir()
    pytest.skip(f"the number of processes cannot be limited here: {why}")


class TestNoRoom:
    """A fork that is refused costs a launch its fork, never the template."""

    @pytest.fixture(autouse=True)
    def log(self, caplog):
        caplog.set_level(logging.INFO, "moorage.launch")
        self._log = caplog

    def told(self, level=logging.WARNING):
        return [one.getMessage() for one in self._log.records if one.levelno >= level]

    async def test_what_is_refused_is_spawned_and_forked_again_later(
        self, forker, kernel, template, spare, until
    ):
        assert await said(forker, kernel(SAY)) == "forked"
        await spare()
        first = template()
        with no_room(first._process.state.pid):
            assert await said(forker, kernel(SAY)) == "forked"  # that was the spare
            for _ in range(3):
                async with forker.launch(kernel(SAY)) as handle:
                    assert (await handle.wait()).code == 0
                    assert handle.output().strip() == "spawned"
                    assert (
                        handle.not_forked
                        == "the template could not fork: this user may start no more processes"
                    )
        assert await said(forker, kernel(SAY)) == "forked"
        assert await said(forker, kernel(SAY)) == "forked"
        assert template() is first
        (told,) = self.told()
        assert told.startswith(f"{sys.executable}: the template could not fork: ")

    async def test_many_that_wait_are_all_spawned(self, forker, kernel, template, spare):
        assert await said(forker, kernel(SAY)) == "forked"
        os.kill(await spare(), signal.SIGKILL)
        with no_room(template()._process.state.pid):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(said(forker, kernel(SAY))) for _ in range(6)]
        assert {task.result() for task in tasks} <= {"spawned", "forked"}
        assert "spawned" in {task.result() for task in tasks}
        assert await said(forker, kernel(SAY)) == "forked"

    async def test_a_template_that_could_not_be_started_is_started_later(
        self, warden, forker, kernel, template
    ):
        with no_room(warden.pid), pytest.raises(LaunchError, match="no more processes"):
            await said(forker, kernel(SAY))
        assert template().missed
        assert await said(forker, kernel(SAY)) == "forked"

    async def test_nor_does_what_its_start_is_refused_end_it_for_good(
        self, forker, kernel, template, tmp_path
    ):
        flag = tmp_path / "no room"
        flag.touch()
        (tmp_path / "sitecustomize.py").write_text(NO_ROOM.format(flag=str(flag)))
        forking = Path(__file__).parents[1] / "files" / "forking"
        spec = kernel(SAY, env={"PYTHONPATH": f"{tmp_path}:{forking}"})
        async with forker.launch(spec) as handle:
            assert (await handle.wait()).code == 0
            assert handle.not_forked == "the template failed: [Errno 11] Resource temporarily unavailable"
        flag.unlink()
        assert await said(forker, spec) == "forked"


NO_ROOM = """
import os, sys
if "moorage_template" in " ".join(sys.orig_argv):
    def refuse(*arguments, spawn=os.posix_spawn, **options):
        if os.path.exists({flag!r}):
            raise BlockingIOError(11, os.strerror(11))
        return spawn(*arguments, **options)
    os.posix_spawn = refuse
"""
"""Start-up code by which a template's own child is refused."""


class TestHowItEnds:
    """What is told of each end; the list stands in docs/design/0006-template.md."""

    @pytest.fixture(autouse=True)
    def log(self, caplog):
        caplog.set_level(logging.INFO, "moorage.launch")
        self._log = caplog

    def told(self, level=logging.WARNING):
        return [one.getMessage() for one in self._log.records if one.levelno >= level]

    @pytest.fixture
    def run(self, tmp_path):
        """Surroundings in which start-up code runs in templates alone."""

        def run(code):
            condition = "import os, sys\nif 'moorage_template' in ' '.join(sys.orig_argv):\n    "
            (tmp_path / "sitecustomize.py").write_text(condition + code)
            forking = Path(__file__).parents[1] / "files" / "forking"
            return {"PYTHONPATH": f"{tmp_path}:{forking}"}

        return run

    async def importing(self, warden, until, env):
        """A template that has forked nothing yet."""
        spec = wanted(env={**os.environ, **env})
        template = client.template_for(warden, spec, True)
        await until(lambda: hasattr(template._process.state, "pid"))
        return template

    @pytest.mark.parametrize("how", ["closed", "killed"])
    async def test_with_its_warden_it_is_no_failure(self, until, run, how):
        async with client.Warden.open() as warden:
            template = await self.importing(warden, until, run("import time; time.sleep(3600)"))
            if how == "killed":
                os.kill(warden.pid, signal.SIGKILL)
                await until(lambda: warden.link.lost)
        assert not template.alive
        assert self.told(logging.INFO) == []

    async def test_with_the_process_that_needs_no_loop_any_more(self, until, run):
        from moorage.process.warden.client import begin

        warden = await begin()
        template = await self.importing(warden, until, run("import time; time.sleep(3600)"))
        warden.link.detach()
        warden.link.stop()
        assert not template.alive
        assert self.told(logging.INFO) == []

    async def test_let_go_of_it_is_no_failure(self, warden, until, run):
        template = await self.importing(warden, until, run("pass"))
        template.retire()
        await until(lambda: isinstance(template._process.state, ChildEnded))
        assert self.told(logging.INFO) == []

    async def test_killed_before_it_has_forked_it_is_tried_again_once(
        self, forker, kernel, template, run, until
    ):
        spec, killed = kernel(SAY, env=run("import time; time.sleep(3600)")), None
        for level in (logging.INFO, logging.WARNING):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(said(forker, spec))
                await asyncio.sleep(0)  # now it has asked
                await until(lambda: hasattr(template()._process.state, "pid"))
                assert template() is not killed
                killed = template()
                os.kill(killed._process.state.pid, signal.SIGKILL)
            assert task.result() == "spawned"
            assert killed.missed is (level == logging.INFO)
            assert len(self.told(level)) == 1
        assert self.told()[0].endswith("the template was killed by SIGKILL, cause unknown, and said nothing")
        assert await said(forker, spec) == "spawned"
        assert template() is killed

    async def test_one_that_has_forked_may_be_killed_any_time(self, forker, kernel, template, until):
        for _ in range(3):
            assert await said(forker, kernel(SAY)) == "forked"
            os.kill(template()._process.state.pid, signal.SIGKILL)
            await until(lambda: not template().alive)
        assert self.told() == []

    async def test_an_exit_without_a_word_is_told_with_its_status(self, forker, kernel, run):
        spec = kernel(SAY, env=run("os._exit(3)"))
        async with forker.launch(spec) as handle:
            assert (await handle.wait()).code == 0
            # What it was asked comes back before its end is told, or after.
            assert handle.not_forked in {"the template ended with exit code 3", "the template failed"}
        (told,) = self.told()
        assert told.endswith(f"{sys.executable}: the template ended with exit code 3, and said nothing")

    async def test_an_error_is_told(self, forker, kernel, run):
        assert await said(forker, kernel(SAY, env=run("sys.modules['ipykernel'] = None"))) == "spawned"
        (told,) = self.told()
        assert "the template ended with exit code 1, and said Traceback" in told
        assert "ModuleNotFoundError" in told

    async def test_start_up_code_that_forbids_it_is_no_failure(self, forker, kernel, run):
        assert await said(forker, kernel(SAY, env=run("sys.settrace(lambda *_: None)"))) == "spawned"
        assert self.told() == []
        (told,) = self.told(logging.INFO)
        assert "traces what runs" in told

    async def test_forks_that_all_end_are_told(self, forker, kernel, template, spare, until, alive):
        assert await said(forker, kernel(SAY)) == "forked"
        for _ in range(3):
            os.kill(pid := await spare(), signal.SIGKILL)
            await until(lambda pid=pid: not alive(pid))
        await until(lambda: not template().alive)
        (told,) = self.told()
        assert "3 forks in succession ended without a word" in told

    async def test_given_up_it_is_no_failure_and_the_launch_says_why(
        self, forker, kernel, template, until, monkeypatch, run
    ):
        monkeypatch.setattr(client, "_IMPORTS", 0.5)
        async with forker.launch(kernel(SAY, env=run("import time; time.sleep(3600)"))) as handle:
            assert (await handle.wait()).code == 0
            assert handle.not_forked == "the template forked nothing in 0.5 s and was killed"
        await until(lambda: isinstance(template()._process.state, ChildEnded))
        assert self.told() == []

    async def test_one_that_cannot_be_started_is_told_to_the_launch(self, warden, monkeypatch):
        def spawn(*_):
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(warden, "spawn", spawn)
        why = client.template_for(warden, wanted(), True)
        assert why == "no template can be started: [Errno 24] Too many open files"
        assert self.told(logging.INFO) == []


class TestStopped:
    """A part that was stopped counts as dead within seconds, and the run goes on."""

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch):
        monkeypatch.setattr("moorage.process.template.client._SILENT", 1.5)

    @pytest.mark.parametrize("parts", ["template", "spare", "template and spare"])
    async def test_launches_are_spawned_and_a_new_template_is_made(
        self, forker, kernel, template, spare, until, alive, parts
    ):
        assert await said(forker, kernel(SAY)) == "forked"
        first, pids = template(), [await spare(), template()._process.state.pid]
        for pid in pids[:1] if parts == "spare" else pids[1:] if parts == "template" else pids:
            os.kill(pid, signal.SIGSTOP)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            tasks = [group.create_task(said(forker, kernel(SAY))) for _ in range(3)]
        assert "spawned" in [task.result() for task in tasks]
        await until(lambda: not any(map(alive, pids)))
        await until(lambda: first.missed)
        assert await said(forker, kernel(SAY)) == "forked"
        assert template() is not first

    async def test_one_that_still_forks_is_not_blamed_for_a_long_queue(self, forker, kernel, template, spare):
        assert await said(forker, kernel(SAY)) == "forked"
        await spare()
        first = template()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(said(forker, kernel(SAY))) for _ in range(30)]
        assert {task.result() for task in tasks} == {"forked"}
        assert template() is first

    async def test_a_template_stopped_while_it_imports(self, forker, kernel, template, monkeypatch):
        monkeypatch.setattr("moorage.process.template.client._IMPORTS", 0.5)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            task = group.create_task(said(forker, kernel(SAY)))
            await asyncio.sleep(0)
            forker._warden.signal(template()._process.id, signal.SIGSTOP)
        assert task.result() == "spawned"


class TestLaunchesNotYetBorn:
    @pytest.fixture
    async def stuck(self, forker, kernel, template, spare):
        """A template that answers nobody for now; yields what sets it going again."""
        assert await said(forker, kernel(SAY)) == "forked"
        pids = [await spare(), template()._process.state.pid]
        for pid in reversed(pids):
            os.kill(pid, signal.SIGSTOP)

        def go():
            for pid in pids:
                with suppress(ProcessLookupError):  # a spare that has done its work
                    os.kill(pid, signal.SIGCONT)

        yield go
        go()

    async def test_cancelling_comes_at_once_and_leaves_nothing(
        self, forker, kernel, stuck, warden, until, tmp_path
    ):
        born = tmp_path / "born"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), forker.launch(kernel(f"open({str(born)!r}, 'w')")):
                pass
        assert not [one for one in warden._launches.values() if one._on_exit.__name__ == "drain"]
        stuck()
        assert await said(forker, kernel(SAY)) == "forked"
        assert not born.exists()

    async def test_its_end_is_told_once_although_asked_twice(self, forker, kernel, stuck, warden):
        from moorage.process.capture import Capture

        capture = Capture(asyncio.get_running_loop(), 100)
        launched = forker._spawn(kernel(STAY), capture, client.template_for(warden, kernel(STAY), True))
        warden.kill(launched.id)
        warden.kill(launched.id)
        await launched.until(lambda: launched.gone)
        capture.close()

    async def test_cancelled_at_any_moment_nothing_is_left(
        self, forker, kernel, warden, until, spare, template
    ):
        """The kill may come before, while and after a spare becomes the kernel."""
        assert await said(forker, kernel(SAY)) == "forked"
        for number in range(40):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.0004 * number), forker.launch(kernel(STAY)):
                    await asyncio.sleep(3600)
        # Besides the template and its spare nobody is there, once the last of them are gone.
        await until(lambda: len(procfs.roots(procfs.table(), warden.pid)) == 2, "something is left")
        assert await said(forker, kernel(SAY)) == "forked"


async def test_a_template_is_replaced_when_a_package_was_installed(forker, kernel, template, until, tmp_path):
    place = tmp_path / "site-packages"
    place.mkdir()
    path = os.pathsep.join([str(Path(__file__).parents[1] / "files" / "forking"), str(place)])
    spec = kernel("import ipykernel; print(hasattr(ipykernel, 'changed'))", env={"PYTHONPATH": path})
    assert await said(forker, spec) == "False"
    pid = template()._process.state.pid
    (place / "sitecustomize.py").write_text("import ipykernel; ipykernel.changed = True")
    assert await said(forker, spec) == "True"
    assert template().alive
    assert template()._process.state.pid == pid  # the same process, anew


async def test_launches_that_come_while_a_template_is_replaced_wait_for_it(forker, kernel, tmp_path):
    place = tmp_path / "site-packages"
    place.mkdir()
    path = os.pathsep.join([str(Path(__file__).parents[1] / "files" / "forking"), str(place)])
    spec = kernel(SAY, env={"PYTHONPATH": path})
    assert await said(forker, spec) == "forked"
    (place / "new.py").touch()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(said(forker, spec)) for _ in range(10)]
    assert [task.result() for task in tasks] == ["forked"] * 10
