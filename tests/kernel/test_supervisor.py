"""The supervisor over a real process and over launchers that fail in their own ways."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from moorage.errors import KernelDied, LaunchError, MoorageError, StartDeath
from moorage.kernel.found import FoundLauncher
from moorage.kernel.kernel import on_end
from moorage.kernel.supervisor import Supervisor, last_words
from moorage.kernel.zmq_client import zmq_client
from moorage.plan.lifecycle import Exited, Lost, Registering, Restarting, Running, Starting
from moorage.plan.restart import RestartPolicy
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
        client, _, session = zmq_client(addresses)
        with (
            pytest.raises(StartDeath, match=r"exit code 1.*no"),
            supervisor.clients.attached(client, session),
        ):
            pass
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


# -- started again when it dies --------------------------------------------------------------------


@asynccontextmanager
async def revived(code, launcher, *, greets=True, **policy):
    """A process that has answered once, and is started again when it dies."""

    async def greet():
        supervisor.answer()
        await asyncio.Event().wait()  # it is cancelled with its process

    spec = python(code)
    restarts = RestartPolicy(**{"first_pause": 0, **policy})
    supervisor = Supervisor("spec/made", spec, launcher, restarts=restarts, greet=greet if greets else None)
    async with asyncio.timeout(60), beside(supervisor.keep(), name="keep"):
        await supervisor.started()
        supervisor.answer()
        yield supervisor


def following(supervisor):
    """A queue of the statuses to come."""
    statuses = asyncio.Queue()
    supervisor.subscribe(statuses.put_nowait)
    return statuses


async def until(statuses, kind):
    while not isinstance(status := await statuses.get(), kind):
        pass
    return status


async def test_a_process_that_dies_is_started_again_and_subscribers_hear_why_and_when(launcher):
    async with revived("import time; time.sleep(1000)", launcher) as supervisor:
        statuses, first = following(supervisor), supervisor.handle
        first.send_signal(signal.SIGKILL)
        restarting = await until(statuses, Restarting)
        assert (restarting.pid, restarting.death.cause, restarting.death.signal) == (first.pid, "signal", 9)
        assert restarting.at == restarting.since
        assert isinstance(await statuses.get(), Starting)
        assert isinstance(await statuses.get(), Registering)
        running = await until(statuses, Running)
        assert running.pid == supervisor.handle.pid != first.pid


async def test_one_that_dies_too_often_is_given_up_with_reason_and_last_words(launcher):
    async with revived("import sys; sys.exit('no licence')", launcher, most=2) as supervisor:
        assert (await supervisor.wait()).code == 1
        status = supervisor.status
        assert status.gave_up == "it was restarted twice within 60 s of running"
        assert "no licence" in status.last_output
        assert not status.expected
        assert "and is not started again: it was restarted twice" in str(supervisor.start_death())


async def test_what_does_not_answer_again_is_killed_and_given_up(launcher):
    code = "import time; time.sleep(1000)"
    async with revived(code, launcher, greets=False, starts=2, answer_within=0.2) as supervisor:
        supervisor.handle.send_signal(signal.SIGKILL)
        await supervisor.wait()
        assert supervisor.status.cause == "deadline"
        assert supervisor.status.gave_up == "it has ended twice in a row before it answered"


async def paused(supervisor):
    """Wait until it has died and is to be started again in a long while."""
    statuses = following(supervisor)
    supervisor.handle.send_signal(signal.SIGKILL)
    await until(statuses, Running)
    supervisor.handle.send_signal(signal.SIGKILL)
    status = await until(statuses, Restarting)
    assert status.at > status.since + 1000
    return statuses


LONG = {"first_pause": 10_000, "longest_pause": 10_000}


async def test_a_restart_by_hand_cuts_the_pause_short(launcher):
    async with revived("import time; time.sleep(1000)", launcher, **LONG) as supervisor:
        statuses = await paused(supervisor)
        supervisor.restart()
        await until(statuses, Running)
        supervisor.handle.send_signal(signal.SIGKILL)  # and the policy begins anew: at once
        await until(statuses, Running)


@pytest.mark.parametrize("order", [{}, {"at_once": True}, {"for_deadline": True}])
async def test_a_stop_in_the_pause_ends_it(launcher, order):
    async with revived("import time; time.sleep(1000)", launcher, **LONG) as supervisor:
        await paused(supervisor)
        supervisor.stop(**order)
        assert (await supervisor.wait()).signal == signal.SIGKILL
        assert supervisor.status.expected == ("for_deadline" not in order)


async def test_leaving_in_the_pause_tells_what_waits(launcher):
    async with revived("import time; time.sleep(1000)", launcher, **LONG) as supervisor:
        await paused(supervisor)
    assert isinstance(supervisor.status, Lost)
    with pytest.raises(MoorageError, match="no longer watched"):
        await supervisor.wait()


async def test_leaving_starts_nothing_again(launcher):
    async with revived("import time; time.sleep(1000)", launcher) as supervisor:
        pass
    assert isinstance(supervisor.status, Exited)
    assert supervisor.status.expected


async def test_what_cannot_be_spoken_to_ends_with_what_prevented_it(launcher):
    async def greet():
        raise MoorageError("no more connections")

    restarts = RestartPolicy()
    supervisor = Supervisor("spec/made", sleeping(), launcher, restarts=restarts, greet=greet)
    async with asyncio.timeout(60), beside(supervisor.keep(), name="keep"):
        await supervisor.started()
        supervisor.answer()
        supervisor.restart()
        with pytest.raises(MoorageError, match="no more connections"):
            await supervisor.wait()
        assert supervisor.handle.exit_status.signal == signal.SIGKILL


async def test_what_cannot_be_launched_again_is_given_up_at_once(launcher):
    class Once:
        """Launches one process, and no other."""

        @asynccontextmanager
        async def launch(self, spec):
            self.launch = refuse
            async with launcher.launch(spec) as handle:
                yield handle

    @asynccontextmanager
    async def refuse(spec):
        raise LaunchError("the program has gone")
        yield

    async with asyncio.timeout(60):
        supervisor = Supervisor("spec/made", sleeping(), Once(), restarts=RestartPolicy())
        async with beside(supervisor.keep(), name="keep"):
            await supervisor.started()
            supervisor.answer()
            supervisor.handle.send_signal(signal.SIGKILL)
            with pytest.raises(LaunchError, match="the program has gone"):
                await supervisor.wait()
