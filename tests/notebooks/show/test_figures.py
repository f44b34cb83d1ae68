from __future__ import annotations

import pytest

from moorage.notebooks.show.figures import clock, counted, duration, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (-1, "0.0 s"), (3.21, "3.2 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"),
     (125, "2 min 05 s"), (3599.6, "1 h 00 min"), (3720, "1 h 02 min")],
)  # fmt: skip
def test_duration(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (72.9, "1:12"), (725, "12:05"), (3725, "1:02:05")]
)
def test_clock(seconds, words):
    assert clock(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (2048, "2 KiB"), (212 << 20, "212 MiB"), (1023 << 20, "1.0 GiB"), (3 << 40, "3072.0 GiB")],
)
def test_size(count, words):
    assert size(count) == words


def test_counted():
    assert [counted(number, "job") for number in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]


@pytest.mark.parametrize("seconds", [1e308, float("inf")])
def test_what_is_no_time_ends_nothing(seconds):
    assert duration(seconds) == "277777 h 46 min"
    assert clock(seconds) == "277777:46:40"
    assert (duration(float("nan")), clock(float("nan"))) == ("0.0 s", "0:00")
