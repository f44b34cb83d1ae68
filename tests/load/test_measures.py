"""What was measured, in figures."""

from __future__ import annotations

import pytest

from moorage.load.measures import Figures, Measures, Sample, SeenError, figures, groups, quantiles
from moorage.load.steps import Step, Trouble


def test_figures() -> None:
    measures = Measures()
    measures.samples[Step.SAVE] += [Sample(0, seconds) for seconds in range(101)]
    measures.samples[Step.FRONT].append(Sample(0, 3.0))
    measures.failures += [SeenError(1, 1, Step.KERNEL, Trouble("x"))] * 2
    assert figures(measures) == [
        Figures(Step.FRONT, 1, 3, 3, 3, 3, 0),
        Figures(Step.KERNEL, 0, None, None, None, None, 2),
        Figures(Step.SAVE, 101, 50, 95, 99, 100, 0),
    ]


def test_quantiles_of_few() -> None:
    assert quantiles([2.0])[98] == 2
    assert quantiles([1.0, 2.0])[49] == pytest.approx(1.5)


def test_errors_that_say_the_same_are_one_group() -> None:
    same, other = Trouble("same", 500), Trouble("other")
    failures = [
        SeenError(1, 1, Step.POLL, other),
        SeenError(2, 1, Step.POLL, same),
        SeenError(3, 2, Step.POLL, same),
        SeenError(4, 2, Step.SAVE, same),
    ]
    first, *rest = groups(failures)
    assert (first.step, first.trouble, first.count, first.visitors, first.first) == (Step.POLL, same, 2, 2, 2)
    assert [(each.step, each.trouble) for each in rest] == [(Step.POLL, other), (Step.SAVE, same)]


def test_well() -> None:
    assert not Measures().well
    assert Measures(let_in={1}).well
    failed = Measures(let_in={1}, failures=[SeenError(1, 2, Step.FRONT, Trouble("x"))])
    assert not failed.well
    assert failed.troubled == {2}


def test_how_late_the_crowd_was() -> None:
    assert Measures().latest == 0
    assert Measures(lateness=[Sample(1, 0.1), Sample(2, 0.3), Sample(3, 0.2)]).latest == 0.3
