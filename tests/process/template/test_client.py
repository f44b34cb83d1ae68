"""Which launch is forked, from which template, and what becomes of it when a template fails."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from moorage.errors import LaunchError
from moorage.kinds import FORKABLE_MODULES
from moorage.process import procfs
from moorage.process.base import LocalSpec
from moorage.process.local import LocalLauncher
from moorage.process.template import client
from moorage.process.template.client import TemplateKey, template_of
from moorage.process.warden.launched import ChildEnded

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")]

ARGV = (sys.executable, "-m", "ipykernel_launcher", "-f", "kernel.json")
ENV = {"PATH": os.environ["PATH"], "HOME": "/home/ada", "LANG": "C.UTF-8"}


def wanted(argv=ARGV, cwd="/", env=None, **rest):
    return LocalSpec(tuple(argv), cwd, {**ENV, **(env or {})}, **rest)


class TestWhatCanBeForked:
    def test_the_usual_command(self):
        assert template_of(wanted()) == TemplateKey(
            (sys.executable,), (("HOME", "/home/ada"), ("LANG", "C.UTF-8")), "/"
        )

    @pytest.mark.parametrize("module", sorted(FORKABLE_MODULES))
    def test_kernels_built_on_ipykernel(self, module):
        assert template_of(wanted((sys.executable, "-m", module, "-f", "x"))) is not None

    @pytest.mark.parametrize(
        "flags", [["-Xfrozen_modules=off"], ["-I"], ["-sE", "-Wignore"], ["-OO"], ["-P"]]
    )
    def test_flags_belong_to_the_template(self, flags):
        template = template_of(wanted((sys.executable, *flags, *ARGV[1:])))
        assert template.command == (sys.executable, *flags)

    def test_a_program_is_found_on_the_childs_path(self, tmp_path):
        (tmp_path / "my-python").symlink_to(sys.executable)
        argv = ("my-python", *ARGV[1:])
        assert template_of(wanted(argv)) is None
        assert template_of(wanted(argv, env={"PATH": str(tmp_path)})).command == (
            str(tmp_path / "my-python"),
        )

    @pytest.mark.timeout(60)
    def test_a_pipe_in_the_place_of_the_program_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "python", 0o700)
        for name in ("python", str(tmp_path / "python")):
            spec = wanted((name, *ARGV[1:]), env={"PATH": str(tmp_path)})
            assert template_of(spec) is None
            assert "is no interpreter itself" in client.obstacle(spec)

    @pytest.mark.parametrize(
        "name", ["PATH", "TZ", "TMPDIR", "DISPLAY", "TERM", "IPYTHONDIR", "MPLBACKEND", "MINE", "DEBUG"]
    )
    def test_variables_that_a_fork_can_still_take(self, name):
        env = {name: os.environ["PATH"] + ":/elsewhere"}
        assert template_of(wanted(env=env)) == template_of(wanted())

    def test_the_working_directory_and_further_arguments(self):
        assert template_of(wanted((*ARGV, "--debug"), "/tmp")) == template_of(wanted())


class TestWhatNeedsATemplateOfItsOwn:
    @pytest.mark.parametrize(
        "name",
        [
            *("PYTHONPATH", "PYTHONHASHSEED", "PYTHONUSERBASE", "LD_LIBRARY_PATH", "LD_PRELOAD"),
            *("LC_ALL", "LC_CTYPE", "LANG", "LANGUAGE", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "HOME", "USER"),
            *("PYDEVD_DISABLE_FILE_VALIDATION", "PYDEV_DEBUG", "DEBUGPY_LOG_DIR", "JPY_PARENT_PID"),
            *("IPYTHONENABLE", "JUPYTER_PLATFORM_DIRS", "PYZMQ_BACKEND", "TORNADO_EXTENSION"),
        ],
    )  # fmt: skip
    def test_another_environment_from_the_first_moment_on(self, name):
        other = template_of(wanted(env={name: "/another"}))
        assert (name, "/another") in other.env
        assert other != template_of(wanted())

    @pytest.mark.parametrize(
        ("path", "cwd"),
        [
            ("", "/"), ("/lib", "/"), ("/lib:/more", "/"),
            ("lib", "/work"), ("/lib:more", "/work"), ("/lib:", "/work"), (":/lib", "/work"), (".", "/work"),
        ],
    )  # fmt: skip
    def test_relative_search_paths_are_looked_up_where_the_kernel_starts(self, path, cwd):
        assert template_of(wanted(cwd="/work", env={"PYTHONPATH": path})).cwd == cwd

    def test_another_interpreter(self, tmp_path):
        other = tmp_path / "python"
        other.symlink_to(sys.executable)
        assert template_of(wanted((str(other), *ARGV[1:]))) != template_of(wanted())


class TestWhatMustBeSpawned:
    @pytest.mark.parametrize(
        "argv",
        [
            (sys.executable, "-c", "import ipykernel_launcher", "-m"),
            (sys.executable, "-c", "0", "-m", "ipykernel_launcher"),
            (sys.executable, "script.py", "-m", "ipykernel_launcher"),
            (sys.executable, "-X", "dev", "-m", "ipykernel_launcher"),
            (sys.executable, "-i", "-m", "ipykernel_launcher"),
            (sys.executable, "-m", "other_kernel"),
            (sys.executable, "-m", "xpython", "-m", "ipykernel_launcher"),
            (sys.executable, "-m"),
            (sys.executable,),
            ("no-such-python", "-m", "ipykernel_launcher"),
            ("bin/python", "-m", "ipykernel_launcher"),
            ("R", "--slave", "-e", "IRkernel::main()"),
        ],
    )  # fmt: skip
    def test_other_commands(self, argv):
        assert template_of(wanted(argv)) is None

    def test_an_interpreter_behind_a_script(self, tmp_path):
        script = tmp_path / "python"
        script.write_text(f'#!/bin/sh\nexport FROM_THE_SCRIPT=1\nexec {sys.executable} "$@"\n')
        script.chmod(0o755)
        assert template_of(wanted((str(script), *ARGV[1:]))) is None

    def test_a_program_found_from_the_working_directory(self):
        assert template_of(wanted(("python", *ARGV[1:]), env={"PATH": "bin:."})) is None

    def test_a_process_with_an_input(self):
        assert template_of(wanted(stdin=0)) is None

    def test_where_there_are_no_templates(self, monkeypatch):
        monkeypatch.setattr(sys, "platform", "darwin")
        assert template_of(wanted()) is None


READ = """
import os, sys
original, names = type(os.environ).__getitem__, set()
def read(self, name):
    names.add(os.fsdecode(name))
    return original(self, name)
type(os.environ).__getitem__ = read
sys.path.insert(0, {folder!r})
import main as template
template.preload()
print(*sorted(names))
"""

HARMLESS = {
    # read again when they count, or of use to nothing that kernels do
    "ANDROID_DATA": "decides whether this is Android",
    "DISPLAY": "pydevd: whether its own console may show windows",
    "IN_SPHINX_RUN": "IPython: how its own documentation is made",
    "PATH": "a program is run",
    "TERM": "IPython: how a terminal's title is set; a kernel has none",
}


def test_every_variable_that_imports_read_is_known():
    code = READ.format(folder=str(Path(client.__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    unknown = {name for name in done.stdout.split() if not client.early({name: ""})} - set(HARMLESS)
    assert unknown == set(), "decide whether a fork may have another value than its template had"


# -- launches -----------------------------------------------------------------------------------------

SAY = "import gc, os; os.write(1, b'forked ' if gc.get_freeze_count() else b'spawned ')"
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
        return b"template/main.py" in procfs.read(f"/proc/{pid}/cmdline")
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
        code = "import os, sys, gc; print(gc.get_freeze_count() > 0, sys.argv[2])"
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
        os.kill(template()._process.state.pid, signal.SIGSTOP)
        os.kill(await spare(), signal.SIGSTOP)
        with suppress(BlockingIOError):
            while True:
                template()._channel.send(b"x" * 60000)
        assert await said(forker, kernel(SAY)) == "spawned"


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
