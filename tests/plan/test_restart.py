"""When a kernel that died is started again: row by row, and what holds whatever happens in whatever order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import UsageError
from moorage.plan.restart import (
    CameUp,
    Death,
    GiveUp,
    Replaced,
    RestartAt,
    RestartPolicy,
    Restarts,
    policy_of,
)

DEATH = Death(asked_for=False, clean=False)
POLICY = RestartPolicy(most=3, within=10, starts=3, first_pause=1, longest_pause=4)


def decisions(policy, *history):
    """What is decided of each death; ``history`` has events, and seconds that pass between them."""
    machine, now, decided = Restarts(policy), 0.0, []
    for each in history:
        if isinstance(each, int | float):
            now += each
        elif (decision := machine.handle(each, now)) is not None:
            decided.append(decision.at - now if isinstance(decision, RestartAt) else decision.reason)
    return decided


UP = CameUp()
RAN_SHORTLY = (UP, 0.1, DEATH)


@pytest.mark.parametrize(
    ("history", "decided"),
    [
        # A first start: its launcher is told.
        ((DEATH,), [""]),
        # The first restart is at once, then the pauses double.
        ((*RAN_SHORTLY, *RAN_SHORTLY, *RAN_SHORTLY), [0, 1, 2]),
        # More than three restarts within ten seconds of running.
        ((*RAN_SHORTLY,) * 4, [0, 1, 2, "it was restarted 3 times within 10 s of running"]),
        # Pauses do not count: however long they are, the limit is met.
        ((*RAN_SHORTLY, 1000) * 4, [0, 1, 2, "it was restarted 3 times within 10 s of running"]),
        # What dies every four seconds has but two restarts in any ten seconds of running.
        ((UP, 4, DEATH) * 6, [0, 1, 2, 2, 2, 2]),
        # What dies every three has three.
        ((UP, 3, DEATH) * 4, [0, 1, 2, "it was restarted 3 times within 10 s of running"]),
        # What ran well has all forgotten.
        ((*RAN_SHORTLY, *RAN_SHORTLY, UP, 10, DEATH, *RAN_SHORTLY), [0, 1, 0, 1]),
        # Deaths while starting count apart, and go on doubling.
        ((*RAN_SHORTLY, DEATH, DEATH, DEATH), [0, 1, 2, "it has ended 3 times in a row before it answered"]),
        ((*RAN_SHORTLY, DEATH, DEATH, *RAN_SHORTLY, DEATH, DEATH), [0, 1, 2, 1, 2, 4]),
        # What was asked for is no death.
        ((UP, Death(asked_for=True, clean=True)), [""]),
        ((*RAN_SHORTLY, Death(asked_for=True, clean=False)), [0, ""]),
        # Nor is it, by another policy, what ended well; here it is.
        ((UP, Death(asked_for=False, clean=True)), [0]),
        # Restarting it by hand begins anew, but for the first start, which it has behind it.
        ((*RAN_SHORTLY, *RAN_SHORTLY, Replaced(), DEATH, *RAN_SHORTLY), [0, 1, 0, 0]),
        ((Replaced(), DEATH), [0]),
    ],
)
def test_the_table(history, decided):
    pauses = [round(each, 6) if isinstance(each, float) else each for each in decisions(POLICY, *history)]
    assert pauses == decided


def test_an_end_by_itself_with_exit_code_0_is_final_where_the_policy_says_so():
    policy = RestartPolicy(after_exit=False)
    well = Death(asked_for=False, clean=True)
    assert decisions(policy, UP, well) == ["it ended by itself with exit code 0"]
    assert decisions(policy, UP, DEATH, well) == [0, 0.5], "this one had not answered"


def test_a_policy_of_no_restarts():
    assert decisions(RestartPolicy(most=0), UP, DEATH) == ["its policy allows no restart"]


@pytest.mark.parametrize(("restarts", "policy"), [(None, None), (3, RestartPolicy(most=3)), (POLICY, POLICY)])
def test_a_number_is_a_policy(restarts, policy):
    assert policy_of(restarts) == policy


@pytest.mark.parametrize("restarts", [True, "3", 2.0, {"most": 3}])
def test_what_is_no_policy_is_refused(restarts):
    with pytest.raises(UsageError, match="restarts is"):
        policy_of(restarts)


@pytest.mark.parametrize(
    "fields",
    [
        {"most": -1},
        {"most": 1.5},
        {"most": True},
        {"within": 0.5},
        {"within": math.nan},
        {"starts": 0},
        {"first_pause": -1},
        {"longest_pause": "30"},
        {"answer_within": 0},
    ],
)
def test_what_a_policy_cannot_have_is_refused(fields):
    with pytest.raises(UsageError, match=f"{next(iter(fields))} of a restart policy is"):
        RestartPolicy(**fields)


POLICIES = st.builds(
    RestartPolicy,
    most=st.integers(0, 6),
    within=st.floats(1, 100),
    starts=st.integers(1, 5),
    first_pause=st.floats(0, 10),
    longest_pause=st.floats(0, 60),
)
EVENTS = st.one_of(
    st.just(UP), st.just(DEATH), st.builds(Death, asked_for=st.booleans(), clean=st.booleans())
)


@given(POLICIES, st.lists(st.tuples(EVENTS, st.floats(0, 50)), max_size=60))
def test_in_any_order_restarts_lie_ahead_and_within_the_longest_pause(policy, history):
    machine, now = Restarts(policy), 0.0
    for event, seconds in history:
        now += seconds
        decision = machine.handle(event, now)
        assert (decision is None) == (event == UP)
        if isinstance(event, Death) and event.asked_for:
            assert decision == GiveUp()
        if isinstance(decision, RestartAt):
            assert now <= decision.at <= now + policy.longest_pause + 1e-6


@given(POLICIES, st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=60))
def test_a_kernel_is_given_up_after_so_many_deaths_within_so_many_seconds_of_running(policy, lives):
    """Each life answers or does not, and lasts whole seconds, which no sum rounds."""
    machine, now, ran, restarts, failed = Restarts(policy), 0.0, 0.0, [], 0
    machine.handle(UP, now)
    for answers, seconds in [(True, 1.0), *lives]:
        if answers:
            machine.handle(UP, now)
            ran += seconds
        now += seconds
        decision = machine.handle(DEATH, now)
        failed = 0 if answers else failed + 1
        recent = [each for each in restarts if ran - each < policy.within]
        too_many = len(recent) >= policy.most if answers else failed >= policy.starts
        assert isinstance(decision, GiveUp) == too_many
        if too_many:
            assert decision.reason
            return
        if answers:
            restarts.append(ran)
        now = decision.at


@given(POLICIES, st.lists(st.booleans(), min_size=60, max_size=60))
def test_a_kernel_that_lives_shortly_is_given_up_whatever_it_does(policy, lives):
    machine, now = Restarts(policy), 0.0
    machine.handle(UP, now)
    decided = []
    for answers in lives:
        decided.append(machine.handle(DEATH, now))
        if isinstance(decided[-1], GiveUp):
            break
        now = decided[-1].at
        if answers:
            machine.handle(UP, now)
    assert isinstance(decided[-1], GiveUp)
    assert len(decided) <= (policy.most + 1) * policy.starts
