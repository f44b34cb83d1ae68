"""The report of a crowd."""

from __future__ import annotations

import re

from moorage.load.measures import Measures, Sample, SeenError, Standing
from moorage.load.report import report_page
from moorage.load.settings import LoadSettings
from moorage.load.steps import Step, Trouble


def measured() -> Measures:
    measures = Measures(came={1, 2}, let_in={1}, queued={2}, seconds=20.0)
    measures.samples[Step.SAVE] += [Sample(at, 0.1 + at / 100) for at in range(20)]
    measures.standings += [Standing(at, 0, 1, 1) for at in range(20)]
    return measures


def test_it_needs_nothing_but_itself() -> None:
    page = report_page(measured(), LoadSettings("http://localhost:1/?a=<b>"), interrupted=False)
    assert not re.search(r"<script|<img|<link|url\(|@import|https?://(?!localhost)", page)
    assert "http://localhost:1/?a=&lt;b&gt;" in page
    assert "2 visitors came, 1 was let in, 1 had to queue (1 to the end). None saw an error." in page
    assert page.count("<figure") == 2
    assert 'id="errors"' not in page
    assert 'id="late"' not in page
    assert "Interrupted" not in page


def test_errors_and_lateness_are_told() -> None:
    measures = measured()
    measures.failures += [SeenError(3, 1, Step.KERNEL, Trouble("<b>no</b>", 500))] * 2
    measures.refused[2] = Trouble("too many", 429)
    measures.lateness.append(Sample(1, 0.4))
    page = report_page(measures, LoadSettings("http://localhost/"), interrupted=True)
    assert "<b>2 times</b> kernel start, by 1 visitor, first after 3 s: <code>500 &lt;b&gt;no" in page
    assert "<b>Refused</b> <code>too many</code>" in page
    assert "<strong>Interrupted.</strong>" in page
    assert "The crowd itself was late" in page
    assert 'id="late"' in page


def test_a_crowd_that_was_cut_off_before_it_came() -> None:
    assert "0 visitors came" in report_page(Measures(), LoadSettings("http://localhost/"), interrupted=True)
