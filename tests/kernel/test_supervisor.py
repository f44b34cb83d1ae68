"""The supervisor over a real process and over launchers that fail in their own ways."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from moorage.errors import KernelDied, LaunchError, MoorageError, StartDeath
from moorage.kernel.client import Client
from moorage.kernel.found import FoundLauncher
from moorage.kernel.kernel import on_end
from moorage.kernel.supervisor import Supervisor, last_words
from moorage.plan.lifecycle import Exited, Lost, Registering
from moorage.process.base import LaunchSpec
from moorage.process.local import LocalLauncher, shared_warden
from moorage.tasks import beside

pytestmark = pytest.mark.anyio


@pytest.fixture
async def launcher(anyio_backend):
    async with shared_warden() as warden:
        yield LocalLauncher(warden)


def python(code):
    return LaunchSpec((sys.executable, "-c", code), "/", dict(os.environ))


def sleeping():
    return python("import time; time.sleep(1000)")


@asynccontextmanager
async def kept(spec, launcher):
    supervisor = Supervisor("spec/made", spec, launcher)
    async with asyncio.timeout(20), beside(supervisor.keep(), name="keep"):
        yield supervisor


async def test_a_process_is_registering_until_it_answers(launcher):
    async with kept(sleeping(), launcher) as supervisor:
        handle = await supervisor.started()
        assert isinstance(supervisor.status, Registering)
        supervisor.answer()
        assert supervisor.status.pid == handle.pid == supervisor.handle.pid


async def test_stopping_before_there_is_a_process_kills_it_when_there_is_one(launcher):
    async with kept(sleeping(), launcher) as supervisor:
        supervisor.stop(grace=100, at_once=False)
        assert (await supervisor.wait()).signal == signal.SIGKILL


async def test_stopping_without_a_client_climbs_the_ladder(launcher):
    async with kept(sleeping(), launcher) as supervisor:
        await supervisor.started()
        supervisor.answer()
        supervisor.stop(grace=0.05, at_once=False)
        assert (await supervisor.wait()).signal == signal.SIGTERM


async def test_a_deadline_is_the_cause(launcher):
    async with kept(sleeping(), launcher) as supervisor:
        await supervisor.started()
        supervisor.stop(for_deadline=True)
        await supervisor.wait()
        assert supervisor.status.cause == "deadline"


async def test_who_comes_after_the_end_is_told(launcher, addresses):
    async with kept(python("import sys; sys.exit('no')"), launcher) as supervisor:
        await supervisor.wait()
        called = asyncio.Event()
        on_end(supervisor, called.set)
        await called.wait()
        async with Client(addresses, "c", lambda: "1") as client:
            with pytest.raises(StartDeath, match=r"exit code 1.*no"):
                supervisor.clients.attach(client, "session")
        with pytest.raises(KernelDied, match="cannot be restarted"):
            supervisor.restart()


async def test_an_exit_known_before_it_is_told_is_a_start_death(launcher):
    async with kept(python("pass"), launcher) as supervisor:
        handle = await supervisor.started()
        await handle.wait()
        assert "exit code 0" in str(supervisor.start_death())


async def test_a_second_restart_joins_the_first(launcher):
    async with kept(sleeping(), launcher) as supervisor:
        first = await supervisor.started()
        supervisor.restart()
        supervisor.restart()
        second = await supervisor.started()
        assert second.pid != first.pid
        assert second is supervisor.handle


async def test_there_is_always_a_handle_during_a_restart(launcher):
    async with kept(sleeping(), launcher) as supervisor:
        first = await supervisor.started()
        supervisor.restart()
        assert supervisor.handle is first
        await supervisor.started()


async def test_leaving_tells_who_waits_in_other_tasks(launcher):
    async with asyncio.TaskGroup() as group:
        async with kept(sleeping(), launcher) as supervisor:
            await supervisor.started()
            waiting = group.create_task(supervisor.wait())
            await asyncio.sleep(0)
        exit_status = await asyncio.wait_for(waiting, 10)
    assert exit_status.signal == signal.SIGKILL
    assert isinstance(supervisor.status, Exited)


async def test_leaving_during_a_restart_tells_who_waits(launcher):
    async with kept(sleeping(), launcher) as supervisor:
        await supervisor.started()
        supervisor.restart()
    with pytest.raises(MoorageError):
        await asyncio.wait_for(supervisor.wait(), 10)


@pytest.mark.parametrize(
    "end", [lambda it: it.stop(grace=1, at_once=True), lambda it: it.stop(for_deadline=True)]
)
async def test_ending_during_a_restart_tells_who_waits_for_the_new_process(launcher, end):
    async with kept(sleeping(), launcher) as supervisor:
        await supervisor.started()
        supervisor.restart()
        end(supervisor)
        with pytest.raises(KernelDied):
            await asyncio.wait_for(supervisor.started(), 10)


async def test_what_cannot_be_launched_is_told_to_who_waits(launcher):
    async with kept(LaunchSpec(("/no/such",), "/", {}), launcher) as supervisor:
        with pytest.raises(LaunchError):
            await supervisor.started()
        with pytest.raises(LaunchError):
            await supervisor.wait()
        with pytest.raises(LaunchError):
            _ = supervisor.handle
        assert isinstance(supervisor.status, Lost)


async def test_a_launcher_with_a_fault_of_its_own_hangs_nobody():
    class Faulty:
        @asynccontextmanager
        async def launch(self, spec):
            raise ZeroDivisionError("fault")
            yield

    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - it is about the block
        async with kept(sleeping(), Faulty()) as supervisor:
            with pytest.raises(MoorageError, match="fault"):
                await supervisor.started()


def test_last_words_are_the_last():
    assert last_words(" a\n") == "a"
    assert last_words("a" * 10 + "b" * 5, most=5) == "…bbbbb"


def test_last_words_are_without_what_every_kernel_says():
    always = "[IPKernelApp] WARNING | Kernel is running over TCP without encryption. All communication ...\n"
    assert last_words(always) == ""
    assert last_words(f"{always}OSError: x\n") == "OSError: x"


async def test_subscribers_are_told_of_every_status(launcher):
    told = []
    async with kept(sleeping(), launcher) as supervisor:
        unsubscribe = supervisor.subscribe(lambda status: told.append(type(status).__name__))
        await supervisor.started()
        supervisor.answer()
        supervisor.restart()
        await supervisor.started()
        supervisor.answer()
        await asyncio.sleep(0)  # a turn of the loop, in which subscribers are told
        unsubscribe()
        unsubscribe()
        supervisor.stop(grace=1, at_once=True)
        await supervisor.wait()
    begin = ["Registering"] if told[0] == "Registering" else []
    assert told == [*begin, "Running", "Restarting", "Starting", "Registering", "Running"]


async def test_what_is_not_owned_runs_on(launcher):
    async with launcher.launch(sleeping()) as handle:
        supervisor = Supervisor("k", sleeping(), FoundLauncher(handle), owned=False)
        async with beside(supervisor.keep(), name="keep"):
            await supervisor.started()
        assert handle.exit_status is None


async def test_a_subscriber_that_raises_keeps_nothing_from_happening(launcher):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    def fail(status):
        raise ValueError(status)

    async with kept(sleeping(), launcher) as supervisor:
        await supervisor.started()
        supervisor.subscribe(fail)
        supervisor.stop(at_once=True)
        async with asyncio.timeout(60):
            assert (await supervisor.wait()).signal == signal.SIGKILL
    asyncio.get_running_loop().set_exception_handler(None)
    assert {type(error) for error in reported} == {ValueError}


async def test_what_was_called_when_it_ends_can_be_called_off(launcher):
    async with kept(sleeping(), launcher) as supervisor:
        await supervisor.started()
        called = []
        on_end(supervisor, lambda: called.append("off"))()
        on_end(supervisor, lambda: called.append("on"))
        supervisor.stop(at_once=True)
        await supervisor.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert called == ["on"]
