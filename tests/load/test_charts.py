"""Charts."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from moorage.load.charts import LogScale, dots_chart, lateness_chart, spread, time_ticks, visitors_chart
from moorage.load.measures import Figures, Sample, SeenError, Standing
from moorage.load.steps import Step, Trouble


def test_a_scale_of_decades() -> None:
    scale = LogScale([0.02, 3.0])
    assert scale.ticks == [(0.0, "10 ms"), (100 / 3, "100 ms"), (200 / 3, "1 s"), (100.0, "10 s")]
    assert scale.place(0.0) == 0
    assert LogScale([0.0]).ticks[0] == (0, "0.1 ms")
    assert [word for _, word in LogScale([]).ticks] == ["1 s", "10 s"]


def test_times() -> None:
    assert time_ticks(300) == [
        (0, "0:00"),
        (20, "1:00"),
        (40, "2:00"),
        (60, "3:00"),
        (80, "4:00"),
        (100, "5:00"),
    ]
    assert len(time_ticks(301)) == 6
    assert [word for _, word in time_ticks(8)] == ["0:00", "0:02", "0:04", "0:06", "0:08"]


def test_equal_dots_are_one_and_each_error_has_one() -> None:
    failures = [SeenError(5, 1, Step.SAVE, Trouble("<x>"))]
    chart = dots_chart("a <save>", [Sample(1, 0.02)] * 1000, failures, 0.02, 10)
    ET.fromstring(chart)
    assert chart.count("h0") == 2
    assert "1000 times, 95 % within 20.0 ms, 1 error" in chart


def test_charts_of_nothing_are_whole() -> None:
    for chart in (dots_chart("a", [], [], None, 1), visitors_chart([], 1), lateness_chart([], 1)):
        ET.fromstring(chart)
    assert spread(Figures(Step.SAVE, 0, None, None, None, None, 2), LogScale([])) == ""


def test_visitors_stand_above_each_other() -> None:
    chart = visitors_chart([Standing(0, 1, 0, 0), Standing(10, 1, 1, 2)], 10)
    ET.fromstring(chart)
    assert 'class="queued" d="M0.00 100L0.00 75.00L100.00 0.00V100Z"' in chart
    assert 'class="inside" d="M0.00 100L0.00 100.00L100.00 50.00V100Z"' in chart
    assert [word for word in ("0", "1", "2", "3", "4") if f">{word}</span>" in chart] == [
        "0",
        "1",
        "2",
        "3",
        "4",
    ]
    assert ">50</span>" in visitors_chart([Standing(0, 0, 0, 150)], 10)
    assert "At most 2 in their servers at once" in chart


def test_a_bar_reaches_from_the_median_to_the_longest() -> None:
    row = Figures(Step.SAVE, 9, 0.01, 0.1, 0.5, 1.0, 0)
    svg = ET.fromstring(spread(row, LogScale([0.01, 1.0])))
    paths = {each.get("class"): each.get("d") for each in svg}
    assert (paths["most"], paths["whole"]) == ("M0.00 50H50.00", "M0.00 50H100.00")
