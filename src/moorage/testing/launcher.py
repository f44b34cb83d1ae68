"""``check_launcher``: does a launcher keep what :class:`moorage.process.base.Launcher` promises?"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from moorage.errors import LaunchError
from moorage.exit_status import ExitStatus
from moorage.process.base import KILL, Handle, Launcher, LaunchSpec
from moorage.testing.trial import LONGEST, NotTried, attempt, expect
from moorage.testing.verdict import Verdict

_MANY = 16
_MARK = "LAUNCHER_UNDER_TEST"
# What a launcher may add to the environment it was given; LC_CTYPE is CPython's own (PEP 538).
_ADDED = ("MOORAGE_", "LC_CTYPE")

_FAMILY = """
import os, time
def one(kind):
    os.write(1, kind.encode() + b"\\n")  # in one piece
    time.sleep(3600)
for kind in ("child", "session", "orphan"):
    if os.fork() == 0:
        if kind == "session":
            os.setsid()
        if kind == "orphan":
            os.setsid()
            if os.fork():
                os._exit(0)
        one(kind)
one("leader")
"""


async def check_launcher(launcher: Launcher, *, python: str = sys.executable) -> Verdict:
    """Check a launcher against the interface.

    Args:
        launcher: it; some fifty small processes are started by it.
        python: the Python interpreter that they run, where the launcher starts them.

    Returns:
        The verdict. Nothing a launcher does makes this raise. Cancelling ends what was started, if the
        launcher keeps its promises.
    """
    with tempfile.TemporaryDirectory(prefix="check-") as folder:
        trials = _Trials(launcher, python, folder)
        checks = [await attempt(name, trial) for name, trial in trials.all().items()]
    return Verdict(f"the launcher {type(launcher).__name__}", tuple(checks))


class _Trials:
    """What is tried, each a method that returns when all is as it must be."""

    def __init__(self, launcher: Launcher, python: str, folder: str) -> None:
        self._launcher = launcher
        self._python = python
        self._folder = Path(folder).resolve()

    def all(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {
            "an exit code is reported as it is": self._exit_code,
            "a deadly signal is reported as it is": self._death_by_signal,
            "any number may wait for the end": self._several_waiters,
            "standard output and error are kept, in order": self._output,
            "the newest output is kept, as much as was asked for": self._newest_output,
            "arguments arrive intact": self._arguments,
            "it runs in the directory asked for": self._directory,
            "it has the environment asked for, and nothing else": self._environment,
            "its standard input is at its end": self._no_stdin,
            "a signal reaches it": self._signal,
            "a signal after its end reaches no process": self._late_signal,
            "its memory is known while it lives": self._memory,
            "leaving the block ends it": self._leaving,
            "killing it kills all it started: a child, another session, an orphan": self._kill_family,
            "leaving the block kills all it started": self._leave_family,
            "what it started and left behind ends with the block": self._left_behind,
            "a program that does not exist is a LaunchError": self._no_program,
            "a directory that does not exist is a LaunchError": self._no_directory,
            "cancelling while it starts leaves nothing": self._cancelled,
            f"{_MANY} at once are kept apart": self._many,
        }

    def _spec(self, code: str, *arguments: str, **rest: object) -> tuple[LaunchSpec, str]:
        """Return what runs some Python, and the mark by which its processes are found."""
        mark = secrets.token_hex(8)
        environment = {**os.environ, _MARK: mark}
        given: dict[str, object] = {"cwd": "/", "env": environment} | rest
        return LaunchSpec((self._python, "-c", code, *arguments), **given), mark  # type: ignore[arg-type]  # names as there

    async def _run(self, code: str, *arguments: str, **rest: object) -> tuple[ExitStatus, str]:
        spec, _ = self._spec(code, *arguments, **rest)
        async with self._launcher.launch(spec) as handle:
            return await handle.wait(), handle.output()

    async def _exit_code(self) -> None:
        for code in (0, 3, 255):
            status, _ = await self._run(f"import os; os._exit({code})")
            expect((status.code, status.signal) == (code, None), f"exit code {code} was reported as {status}")

    async def _death_by_signal(self) -> None:
        for number in (signal.SIGTERM, signal.SIGSEGV, KILL):
            status, _ = await self._run(f"import os; os.kill(os.getpid(), {int(number)})")
            expect((status.code, status.signal) == (None, number), f"{number.name} was reported as {status}")
            expect(not status.out_of_memory, f"{number.name} was reported as out of memory")

    async def _several_waiters(self) -> None:
        spec, _ = self._spec("import sys; sys.stdin.read(); sys.exit(4)")
        async with self._launcher.launch(spec) as handle, asyncio.TaskGroup() as group:
            expect(handle.pid > 0, f"its pid is {handle.pid}")
            impatient = group.create_task(handle.wait())
            patient = [group.create_task(handle.wait()) for _ in range(3)]
            impatient.cancel()
            ends = {await each for each in patient}
            expect({each.code for each in ends} == {4}, f"they were reported as {ends}")
            expect(handle.exit_status is not None, "exit_status is still None after the end")

    async def _output(self) -> None:
        code = "import os\nfor n in range(200): os.write(1 + n % 2, b'%d\\n' % n)"
        _, output = await self._run(code)
        lines = output.split()
        for name, first in (("output", 0), ("error", 1)):
            seen = [line for line in lines if int(line) % 2 == first]
            expect(seen == [str(n) for n in range(first, 200, 2)], f"standard {name} was {seen[:5]}…")

    async def _newest_output(self) -> None:
        _, output = await self._run("print('x' * 50_000); print('last')", keep_output=1000)
        expect(output.endswith("last\n"), f"it ended with {output[-20:]!r}")
        expect(len(output) <= 2100, f"{len(output)} characters were kept of 1000 for each stream")

    async def _arguments(self) -> None:
        words = ["", "a b", "'\"\\", "*", "é", "line\nbreak"]
        _, output = await self._run("import sys, json; print(json.dumps(sys.argv[1:]))", *words)
        expect(json.loads(output) == words, f"they arrived as {output}")

    async def _directory(self) -> None:
        _, output = await self._run("import os; print(os.getcwd())", cwd=str(self._folder))
        expect(output.strip() == str(self._folder), f"it ran in {output.strip()}")

    async def _environment(self) -> None:
        wanted = {"ONLY": "this", "ODD": "é \n=", "PATH": os.environ.get("PATH", os.defpath)}
        _, output = await self._run("import os, json; print(json.dumps(dict(os.environ)))", env=wanted)
        seen = {key: value for key, value in json.loads(output).items() if not key.startswith(_ADDED)}
        wrong = sorted(key for key in seen.keys() | wanted.keys() if seen.get(key) != wanted.get(key))
        expect(not wrong, f"these differ: {', '.join(wrong)}")

    async def _no_stdin(self) -> None:
        _, output = await self._run("import sys; print(repr(sys.stdin.read()))")
        expect(output == "''\n", f"it read {output}")

    async def _signal(self) -> None:
        if sys.platform == "win32":
            raise NotTried("Windows has no signals of one's own")
        code = (
            "import signal, sys, time\n"
            "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))\n"
            "print('on', flush=True)\ntime.sleep(3600)"
        )
        spec, _ = self._spec(code)
        async with self._launcher.launch(spec) as handle:
            await _wrote(handle, "on")
            expect(handle.exit_status is None, f"it has ended: {handle.exit_status}")
            handle.send_signal(signal.SIGUSR1)
            status = await handle.wait()
            expect(status.code == 7, f"it ended with {status}")

    async def _late_signal(self) -> None:
        spec, _ = self._spec("pass")
        async with self._launcher.launch(spec) as handle:
            await handle.wait()
            handle.send_signal(KILL)
            expect((await handle.kill()).code == 0, "killing it afterwards changed how it ended")

    async def _memory(self) -> None:
        spec, _ = self._spec("import time; print('on', flush=True); time.sleep(3600)")
        async with self._launcher.launch(spec) as handle:
            await _wrote(handle, "on")
            size = handle.memory()
            if size is None:
                raise NotTried("this launcher tells no memory")
            expect(size > 1_000_000, f"it is {size} bytes, which no Python gets by with")

    async def _leaving(self) -> None:
        spec, mark = self._spec("import time; time.sleep(3600)")
        async with self._launcher.launch(spec) as handle:
            pass
        expect(handle.exit_status is not None, "it has no exit status")
        _nothing_left(mark)

    async def _kill_family(self) -> None:
        spec, mark = self._spec(_FAMILY)
        async with self._launcher.launch(spec) as handle:
            await _wrote(handle, "leader", "child", "session", "orphan")
            status = await handle.kill()
            expect(status.signal == KILL, f"it ended with {status}")
            _nothing_left(mark)

    async def _leave_family(self) -> None:
        spec, mark = self._spec(_FAMILY)
        async with self._launcher.launch(spec) as handle:
            await _wrote(handle, "leader", "child", "session", "orphan")
        _nothing_left(mark)

    async def _left_behind(self) -> None:
        code = (
            "import os, time\n"
            "if os.fork() == 0:\n    os.setsid()\n    print('behind', flush=True)\n    time.sleep(3600)\n"
            "os._exit(5)"
        )
        spec, mark = self._spec(code)
        async with self._launcher.launch(spec) as handle:
            status = await handle.wait()
            expect(status.code == 5, f"it ended with {status}")
            await _wrote(handle, "behind")
        _nothing_left(mark)

    async def _no_program(self) -> None:
        for program in ("no-such-program-anywhere", "/no/such/program"):
            spec = LaunchSpec((program,), "/", dict(os.environ))
            await self._refused(spec)

    async def _no_directory(self) -> None:
        spec, mark = self._spec("pass", cwd=str(self._folder / "none"))
        await self._refused(spec)
        _nothing_left(mark)

    async def _refused(self, spec: LaunchSpec) -> None:
        try:
            async with self._launcher.launch(spec) as handle:
                status = await handle.wait()
        except LaunchError as error:
            expect(error.what, "the LaunchError says nothing")
        else:
            expect(False, f"it started, and ended with {status}")

    async def _cancelled(self) -> None:
        for turns in (0, 1, 2, 5, 20):
            spec, mark = self._spec("import time; time.sleep(3600)")

            async def start(spec: LaunchSpec = spec) -> None:
                async with self._launcher.launch(spec):
                    await asyncio.Event().wait()

            async with asyncio.TaskGroup() as group:
                starting = group.create_task(start())
                for _ in range(turns):
                    await asyncio.sleep(0)  # a turn of the loop, no time
                starting.cancel()
            _nothing_left(mark)

    async def _many(self) -> None:
        async def one(number: int) -> None:
            status, output = await self._run(f"print({number}); raise SystemExit({number})")
            expect((status.code, output) == (number, f"{number}\n"), f"number {number}: {status}, {output!r}")

        async with asyncio.TaskGroup() as group:
            for number in range(_MANY):
                group.create_task(one(number))


async def _wrote(handle: Handle, *words: str) -> None:
    """Wait until a process has printed some words, which no event announces."""
    async with asyncio.timeout(LONGEST / 2):
        while not set(words) <= set(handle.output().split()):
            expect(handle.exit_status is None or "behind" in words, f"it ended: {handle.output()}")
            await asyncio.sleep(0.01)


def _nothing_left(mark: str) -> None:
    if not Path("/proc/self/environ").exists():
        raise NotTried("this system has no /proc to look at")
    left = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and f"{_MARK}={mark}".encode() in (entry / "environ").read_bytes():
                left.append(f"{entry.name} ({(entry / 'comm').read_text().strip()})")
        except OSError:
            continue  # not ours, or gone meanwhile
    expect(not left, f"still there: {', '.join(left)}")
