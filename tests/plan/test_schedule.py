from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import UsageError
from moorage.plan.schedule import (
    AllDone,
    Begin,
    Command,
    Finished,
    GiveBack,
    Job,
    JobEnded,
    JobReady,
    JobRunning,
    Limits,
    MemoryAvailable,
    Retry,
    Schedule,
    Skip,
    Skipped,
    SlotGained,
    StartJob,
    Stop,
    Waiting,
    WantSlots,
    ordered,
)


def job(name: str, *needs: str, **rest) -> Job:
    return Job(name, frozenset(needs), **rest)


def started(commands: list[Command]) -> list[str]:
    return [command.id for command in commands if isinstance(command, StartJob)]


def ok(name: str) -> Finished:
    return Finished(name, ok=True)


def died(name: str) -> Finished:
    return Finished(name, ok=False, died=True, reason="killed by SIGSEGV")


def test_a_run_of_three_on_two_slots():
    schedule = Schedule([job("a"), job("b"), job("c")], Limits(2))
    assert schedule.handle(Begin(), 0) == [StartJob("a", 1, 0), StartJob("b", 1, 1)]
    assert schedule.handle(ok("a"), 1) == [StartJob("c", 1, 0)]
    assert schedule.handle(ok("c"), 2) == []
    assert schedule.handle(ok("b"), 3) == [AllDone()]
    assert set(schedule.status.values()) == {JobEnded(ok=True, attempts=1)}


def test_nothing_to_do_is_done_at_once_and_said_once():
    schedule = Schedule([], Limits(1))
    assert schedule.handle(Begin(), 0) == [AllDone()]
    assert schedule.handle(Stop("Ctrl-C"), 1) == []


def test_untimed_first_then_longest_then_as_given():
    jobs = [job("short", expected=1), job("long", expected=9), job("new"), job("long too", expected=9)]
    assert started(Schedule(jobs, Limits(9)).handle(Begin(), 0)) == ["new", "long", "long too", "short"]


def test_the_chain_behind_a_job_counts():
    jobs = [job("alone", expected=5), job("root", expected=1), job("leaf", "root", expected=6)]
    assert started(Schedule(jobs, Limits(1)).handle(Begin(), 0)) == ["root"]


def test_a_long_chain_does_not_exhaust_the_stack():
    jobs = [job("0"), *(job(str(n), str(n - 1)) for n in range(1, 5000))]
    schedule = Schedule(jobs, Limits(1))
    schedule.handle(Begin(), 0)
    skipped = schedule.handle(Finished("0", ok=False), 1)
    assert len(skipped) == 5000
    assert skipped[-2] == Skip("4999", "needs 0, which failed")
    assert skipped[-1] == AllDone()


def test_a_wide_job_gathers_slots_and_one_too_wide_runs_alone():
    jobs = [job("one"), job("two"), job("wide", cores=9), job("last")]
    schedule = Schedule(jobs, Limits(2))
    assert started(schedule.handle(Begin(), 0)) == ["one", "two"]
    assert schedule.handle(ok("one"), 1) == []
    assert started(schedule.handle(ok("two"), 2)) == ["wide"]
    assert started(schedule.handle(ok("wide"), 3)) == ["last"]


def test_declared_memory_is_kept_and_others_pass():
    jobs = [job("a", memory=6), job("b", memory=6), job("c")]
    schedule = Schedule(jobs, Limits(3, memory=10))
    assert started(schedule.handle(Begin(), 0)) == ["a", "c"]
    assert started(schedule.handle(ok("a"), 1)) == ["b"]


def test_a_job_larger_than_the_limit_runs_when_nothing_else_does():
    schedule = Schedule([job("huge", memory=99)], Limits(1, memory=10))
    assert started(schedule.handle(Begin(), 0)) == ["huge"]


def test_nothing_starts_beside_others_while_the_machine_is_short():
    jobs = [job("a"), job("b"), job("c", memory=50)]
    schedule = Schedule(jobs, Limits(3, floor=10))
    schedule.handle(MemoryAvailable(5), 0)
    assert started(schedule.handle(Begin(), 0)) == ["a"]
    assert started(schedule.handle(MemoryAvailable(9), 1)) == []
    assert started(schedule.handle(MemoryAvailable(20), 2)) == ["b"]
    assert started(schedule.handle(MemoryAvailable(49), 3)) == []
    assert started(schedule.handle(MemoryAvailable(50), 4)) == ["c"]


def test_one_measurement_is_not_spent_twice():
    jobs = [job("first"), job("a", memory=6), job("b", memory=6)]
    schedule = Schedule(jobs, Limits(3))
    schedule.handle(MemoryAvailable(10), 0)
    assert started(schedule.handle(Begin(), 0)) == ["first", "a"]


def test_the_first_cause_is_named_to_all_dependants():
    jobs = [job("base.py"), job("mid.py", "base.py"), job("top.py", "mid.py"), job("other.py")]
    schedule = Schedule(jobs, Limits(1))
    schedule.handle(Begin(), 0)
    assert schedule.handle(Finished("base.py", ok=False), 1) == [
        Skip("mid.py", "needs base.py, which failed"),
        Skip("top.py", "needs base.py, which failed"),
        StartJob("other.py", 1, 0),
    ]
    assert schedule.status["top.py"] == Skipped("needs base.py, which failed")


def test_a_died_job_is_first_in_line_until_its_retries_are_used():
    schedule = Schedule([job("a", retries=1), job("b"), job("c", "a")], Limits(1))
    schedule.handle(Begin(), 0)
    assert schedule.handle(died("a"), 1) == [Retry("a", 2, "killed by SIGSEGV"), StartJob("a", 2, 0)]
    assert schedule.handle(died("a"), 2) == [Skip("c", "needs a, which died"), StartJob("b", 1, 0)]
    assert schedule.status["a"] == JobEnded(ok=False, attempts=2)


def test_code_that_raised_is_never_tried_again():
    schedule = Schedule([job("a", retries=5)], Limits(1))
    schedule.handle(Begin(), 0)
    assert schedule.handle(Finished("a", ok=False), 1) == [AllDone()]


def test_fail_fast_skips_the_rest_and_lets_the_running_end():
    schedule = Schedule([job("a"), job("b"), job("c")], Limits(2), fail_fast=True)
    schedule.handle(Begin(), 0)
    assert schedule.handle(Finished("a", ok=False), 1) == [Skip("c", "the run stopped at a, which failed")]
    assert schedule.handle(ok("b"), 2) == [AllDone()]


def test_stop_starts_nothing_new_and_retries_nothing():
    schedule = Schedule([job("a", retries=1), job("b"), job("c", "a")], Limits(1))
    schedule.handle(Begin(), 0)
    assert schedule.handle(Stop("interrupted"), 1) == [Skip("b", "interrupted"), Skip("c", "interrupted")]
    assert schedule.handle(died("a"), 2) == [AllDone()]


def test_stop_ends_a_job_that_waits_for_its_second_attempt():
    schedule = Schedule([job("a", retries=1, cores=2), job("b")], Limits(2), tokens=True)
    schedule.handle(Begin(), 0)  # b, which fits in one slot, goes first
    schedule.handle(SlotGained(), 0)
    schedule.handle(ok("b"), 1)
    assert isinstance(schedule.status["a"], JobRunning)
    schedule = Schedule([job("a", retries=1), job("b")], Limits(2, floor=10))
    schedule.handle(MemoryAvailable(20), 0)
    schedule.handle(Begin(), 0)
    schedule.handle(MemoryAvailable(1), 0)
    assert schedule.handle(died("a"), 1) == [Retry("a", 2, "killed by SIGSEGV")]
    assert schedule.handle(Stop("interrupted"), 2) == [Skip("a", "interrupted")]
    assert schedule.status["a"] == JobEnded(ok=False, attempts=1)


def test_tokens_are_asked_for_used_and_given_back():
    schedule = Schedule([job("a"), job("b"), job("c")], Limits(8), tokens=True)
    assert schedule.handle(Begin(), 0) == [StartJob("a", 1, 0), WantSlots(2)]
    assert schedule.handle(SlotGained(), 1) == [StartJob("b", 1, 1)]
    assert schedule.handle(ok("a"), 2) == [StartJob("c", 1, 0), WantSlots(0)]
    assert schedule.handle(SlotGained(), 2) == [GiveBack(1)]  # it crossed the withdrawal
    assert schedule.handle(ok("c"), 3) == [GiveBack(1)]
    assert schedule.handle(ok("b"), 4) == [AllDone()]


def test_a_wide_job_never_waits_for_tokens_that_do_not_come():
    schedule = Schedule([job("wide", cores=4)], Limits(4), tokens=True)
    assert schedule.handle(Begin(), 0) == [StartJob("wide", 1, 0)]
    assert schedule.handle(ok("wide"), 1) == [AllDone()]


def test_tokens_gather_for_a_wide_job_while_something_runs():
    schedule = Schedule([job("narrow", expected=9), job("wide", cores=3, expected=1)], Limits(4), tokens=True)
    assert schedule.handle(Begin(), 0) == [StartJob("narrow", 1, 0), WantSlots(3)]
    assert schedule.handle(SlotGained(), 1) == []
    assert schedule.handle(SlotGained(), 2) == []
    assert schedule.handle(SlotGained(), 3) == [StartJob("wide", 1, 1)]


@pytest.mark.parametrize(
    ("jobs", "text"),
    [
        ([job("a", "b"), job("b", "c"), job("c", "a")], "in a circle (E-USAGE). "),
        ([job("a", "a")], "a needs a."),
        ([job("a", "gone")], "a needs gone, which is not part of this run"),
        ([job("a"), job("a")], "two jobs are called a"),
    ],
)
def test_impossible_graphs_are_refused(jobs, text):
    with pytest.raises(UsageError) as caught:
        Schedule(jobs, Limits(1))
    assert text in str(caught.value)


def test_a_circle_is_reported_in_the_direction_of_the_needs():
    with pytest.raises(UsageError) as caught:
        ordered([job("x"), job("a", "b"), job("b", "c"), job("c", "a")])
    rounds = ("a needs b needs c needs a", "b needs c needs a needs b", "c needs a needs b needs c")
    assert any(each in str(caught.value) for each in rounds)


def test_no_jobs_at_once_is_refused():
    with pytest.raises(UsageError):
        Limits(0)


def test_finishing_what_does_not_run_is_an_error():
    with pytest.raises(ValueError, match="without running"):
        Schedule([job("a")], Limits(1)).handle(ok("a"), 0)


@st.composite
def graphs(draw) -> list[Job]:
    count = draw(st.integers(0, 12))
    jobs = []
    for number in range(count):
        earlier = [str(n) for n in range(number)]
        needs = draw(st.frozensets(st.sampled_from(earlier), max_size=3)) if earlier else frozenset()
        jobs.append(
            Job(
                str(number),
                needs,
                cores=draw(st.integers(1, 5)),
                memory=draw(st.sampled_from([0, 0, 3, 7, 20])),
                expected=draw(st.none() | st.floats(0, 100)),
                retries=draw(st.integers(0, 2)),
            )
        )
    return draw(st.permutations(jobs))


class World:
    """Carries out what a schedule says and checks every promise it makes."""

    def __init__(self, jobs: list[Job], limits: Limits, *, tokens: bool, pool: int, fail_fast: bool) -> None:
        self.jobs = {each.id: each for each in jobs}
        self.limits, self.tokens, self.pool, self.wish = limits, tokens, pool, 0
        self.schedule = Schedule(jobs, limits, tokens=tokens, fail_fast=fail_fast)
        self.held = 1 if tokens else limits.jobs
        self.running: dict[str, int] = {}
        self.good: set[str] = set()
        self.ended: list[str] = []
        self.attempts = dict.fromkeys(self.jobs, 0)
        self.done = False
        self.fail_fast, self.stopped = fail_fast, False

    def send(self, event) -> None:
        self.stopped = self.stopped or isinstance(event, Stop)
        for command in self.schedule.handle(event, 0.0):
            assert not self.done or isinstance(command, GiveBack)
            match command:
                case StartJob():
                    self.start(command)
                case Retry(name, attempt):
                    assert attempt == self.attempts[name] + 1 <= self.jobs[name].retries + 1
                case Skip(name):
                    assert name not in self.running
                    self.ended.append(name)
                case WantSlots(count):
                    assert 0 <= count <= self.limits.jobs - self.held
                    self.wish = count
                case GiveBack(count):
                    assert 0 < count < self.held, "the first slot is no token"
                    self.held -= count
                    self.pool += count
                case AllDone():
                    assert not self.running
                    assert sorted(self.ended) == sorted(self.jobs)
                    assert self.held == 1 or not self.tokens
                    self.done = True

    def start(self, command: StartJob) -> None:
        job = self.jobs[command.id]
        assert command.id not in self.running
        assert command.id not in self.ended
        assert job.needs <= self.good
        self.attempts[job.id] += 1
        assert command.attempt == self.attempts[job.id]
        assert command.worker == min(set(range(99)) - set(self.running.values()))
        declared = sum(self.jobs[name].memory for name in self.running)
        if job.memory and self.running and self.limits.memory is not None:
            assert declared + job.memory <= self.limits.memory
        alone = not self.running
        self.running[job.id] = command.worker
        used = sum(min(self.jobs[name].cores, self.limits.jobs) for name in self.running)
        assert used <= self.held or (self.tokens and (alone or used - self.held < self.limits.jobs))
        assert len(self.running) <= self.held

    def finish(self, name: str, how: str) -> None:
        del self.running[name]
        again = how == "died" and self.attempts[name] <= self.jobs[name].retries and not self.stopped
        if how == "ok":
            self.good.add(name)
        elif not again:
            self.stopped = self.stopped or self.fail_fast
        if not again:
            self.ended.append(name)
        self.send(Finished(name, ok=how == "ok", died=how == "died"))


@given(
    jobs=graphs(),
    slots=st.integers(1, 6),
    memory=st.none() | st.integers(1, 25),
    tokens=st.booleans(),
    pool=st.integers(0, 6),
    fail_fast=st.booleans(),
    data=st.data(),
)
def test_no_schedule_breaks_a_need_or_a_limit_or_stands_still(
    jobs, slots, memory, tokens, pool, fail_fast, data
):
    world = World(jobs, Limits(slots, memory, floor=2), tokens=tokens, pool=pool, fail_fast=fail_fast)
    everything, stopped = pool, False
    world.send(Begin())
    while not world.done:
        assert world.running, f"stands still: {world.schedule.status}"
        choices = ["finish"] * 4 + ["memory"] + ["stop"] * (not stopped)
        if world.wish and world.pool:
            choices += ["token"] * 4
        match data.draw(st.sampled_from(choices)):
            case "finish":
                name = data.draw(st.sampled_from(sorted(world.running)))
                how = data.draw(st.sampled_from(["ok", "ok", "ok", "failed", "died"]))
                if stopped and how == "died":
                    how = "failed"
                world.finish(name, how)
            case "memory":
                world.send(MemoryAvailable(data.draw(st.integers(0, 30))))
            case "token":
                world.pool, world.held, world.wish = world.pool - 1, world.held + 1, world.wish - 1
                world.send(SlotGained())
            case "stop" if data.draw(st.integers(0, 9)) == 0:
                stopped = True
                world.send(Stop("interrupted"))
    assert world.pool == everything
    assert not any(
        isinstance(each, Waiting | JobReady | JobRunning) for each in world.schedule.status.values()
    )
