"""Launchers of every kind conform; one that breaks its promises does not."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from moorage.exit_status import ExitStatus
from moorage.process.local import LocalLauncher, Warden
from moorage.testing import check_launcher

pytestmark = [pytest.mark.anyio, pytest.mark.real]


async def test_the_local_one_conforms():
    async with Warden.open() as warden:
        verdict = await check_launcher(LocalLauncher(warden))
    verdict.require()
    assert [each.name for each in verdict.checks if each.skipped] == []


class Careless:
    """Starts processes as one would without thinking."""

    @asynccontextmanager
    async def launch(self, spec):
        process = subprocess.Popen(spec.argv, cwd=spec.cwd, env=spec.env, stdout=subprocess.PIPE)
        try:
            yield Held(process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Held:
    id = "x"
    exit_status = None

    def __init__(self, process):
        self._process = process
        self.pid = process.pid
        self._output = b""
        os.set_blocking(process.stdout.fileno(), False)

    async def wait(self):
        return ExitStatus(code=self._process.wait())

    def send_signal(self, signum):
        self._process.send_signal(signum)

    async def kill(self):
        self._process.send_signal(signal.SIGKILL)
        return await self.wait()

    def output(self):
        self._output += self._process.stdout.read() or b""
        return self._output.decode()

    def memory(self):
        return None


@pytest.fixture
def leftovers(monkeypatch):
    """Ends what a careless launcher leaves behind, however its test ends, and nothing of other runs."""
    mark = f"LEFT_BEHIND_BY={secrets.token_hex(8)}"
    monkeypatch.setenv(*mark.split("="))
    yield
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.mark.usefixtures("leftovers")
async def test_a_careless_one_does_not():
    verdict = await check_launcher(Careless())
    failed = {each.name for each in verdict.checks if each.outcome == "FAIL"}
    print(verdict)
    assert "a deadly signal is reported as it is" in failed
    assert "leaving the block kills all it started" in failed
    assert "a program that does not exist is a LaunchError" in failed
    assert "an exit code is reported as it is" not in failed
