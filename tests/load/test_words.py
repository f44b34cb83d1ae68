"""What was measured, in words."""

from __future__ import annotations

import json

import pytest

from moorage.load.measures import Measures, Sample, SeenError, Unfinished
from moorage.load.settings import LoadSettings
from moorage.load.steps import TITLES, Step, Trouble
from moorage.load.words import document, remarks, span, verdict


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0.00321, "3.21 ms"),
        (0.0321, "32.1 ms"),
        (0.321, "321 ms"),
        (3.214, "3.21 s"),
        (75, "75.0 s"),
    ],
)
def test_spans(seconds: float | None, said: str) -> None:
    assert span(seconds) == said


def test_the_verdict() -> None:
    measures = Measures(came={1}, let_in={1})
    assert verdict(measures) == "1 visitor came, 1 was let in. None saw an error."
    measures = Measures(came={1, 2, 3, 4}, let_in={1, 2}, queued={2, 3}, refused={4: Trouble("x", 429)})
    measures.failures.append(SeenError(1, 1, Step.SAVE, Trouble("x")))
    assert verdict(measures) == (
        "4 visitors came, 2 were let in, 2 had to queue (1 to the end), 1 got a refusal. "
        "1 visitor saw 1 error."
    )


def test_remarks() -> None:
    assert remarks(Measures(lateness=[Sample(1, 0.09)], unfinished=[Unfinished(Step.QUEUE, 9)])) == []
    measures = Measures(lateness=[Sample(1, 0.01), Sample(2, 0.25)], unfinished=[Unfinished(Step.SAVE, 2)])
    late, under_way = remarks(measures)
    assert "late: by up to 250 ms, by more than 100 ms in 1 of 2 seconds" in late
    assert under_way == "Under way at the end, and not counted: 1 step, the longest, save, for 2.00 s."


def test_the_document_is_json() -> None:
    measures = Measures(came={1, 2}, let_in={1}, queued={2}, seconds=3.0)
    measures.samples[Step.SAVE].append(Sample(1, 0.5))
    measures.failures.append(SeenError(1, 1, Step.SAVE, Trouble("x", 507)))
    said = json.loads(
        json.dumps(document(measures, LoadSettings("http://localhost/"), "1", interrupted=True))
    )
    assert said["visitors"] == {
        "came": 2, "let_in": 1, "queued": 1, "queued_to_the_end": 1, "refused": 0, "with_errors": 1
    }  # fmt: skip
    assert said["steps"][0] | {"step": "save", "count": 1, "p99": 0.5, "errors": 1} == said["steps"][0]
    assert said["errors"][0]["trouble"] == {"text": "x", "status": 507}
    assert (said["interrupted"], said["well"], said["settings"]["url"]) == (True, False, "http://localhost/")


def test_every_step_has_a_title() -> None:
    assert list(TITLES) == list(Step)
