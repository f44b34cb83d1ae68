from __future__ import annotations

import math
import tomllib
from pathlib import Path

import pytest

from moorage.notebooks.planning.values import (
    Need,
    count,
    env,
    listed,
    literal,
    needs,
    param,
    path,
    seconds,
    size,
)

HERE = Path("/here")


@pytest.mark.parametrize(
    ("text", "number"),
    [("500MB", 500 * 10**6), ("4GiB", 2**32), ("2G", 2**31), ("1.5k", 1536), ("7", 7), ("9B", 9), (12, 12)],
)
def test_sizes(text, number):
    assert size(text) == number


@pytest.mark.parametrize("text", ["", "GiB", "4 potatoes", "4iB", "-1", -1, True, None, 1.5j, [], "1G2"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="bytes or a text"):
        size(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1m 30s", 90),
        ("250ms", 0.25),
        ("5", 5),
        (0, 0),
    ],
)
def test_durations(text, number):
    assert seconds(text) == number


@pytest.mark.parametrize(
    "text", ["", "m", "10 minutes", "1h x", "-1s", -1, None, [], True, math.inf, math.nan]
)
def test_no_durations(text):
    with pytest.raises(ValueError, match="seconds from 0 up"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[
            ("1", 1),
            ("1.5", 1.5),
            ("True", True),
            ("false", False),
            ("null", None),
            ("None", None),
            ("[1]", [1]),
        ],
        *[("-.5", -0.5), (".5e3", 500.0), ("2.", 2.0), ("+4", 4), ("+1.5", 1.5)],
        *[(".inf", math.inf), ("+.inf", math.inf), ("-.inf", -math.inf)],
    ],
)
def test_literals(text, value):
    assert literal(text) == value
    assert type(literal(text)) is type(value)


def test_no_number_as_yaml_has_it():
    assert math.isnan(literal(".nan"))


def test_dates_and_times_of_toml_are_texts():
    table = tomllib.loads("a = 2026-01-02\nb = [2026-01-02T03:04:05Z, {c = 03:04:05}]")
    found = param(table, Path())
    assert found == {"a": "2026-01-02", "b": ["2026-01-02T03:04:05+00:00", {"c": "03:04:05"}]}


@pytest.mark.parametrize(
    "text", ["", "x", "NaN", "1,2", "{", "'x'", "007", "1_000", "1.2.3", ".", "+", "+.", "2026-01-02"]
)
def test_what_is_no_literal_is_text(text):
    assert literal(text) == text


def test_paths_belong_to_the_folder_they_are_said_in():
    assert path("a/b", HERE) == HERE / "a/b"
    assert path("/a", HERE) == Path("/a")
    assert path("-", HERE) == Path("-")


def test_tables_and_lists():
    assert listed(["a,b", " c "], HERE) == ("a", "b", "c")
    assert param(["a=1", "b=x=y"], HERE) == {"a": 1, "b": "x=y"}
    assert env({"A": 1, "B": "x"}, HERE) == {"A": "1", "B": "x"}
    assert needs({"file": "x", "as": "y"}, HERE) == (Need("x", "y"),)
    assert needs("x", HERE) == (Need("x"),)


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (count(1), 0),
        (count(0), True),
        (param, ["=1"]),
        (param, {"not a name": 1}),
        (env, {"A": None}),
        (needs, [1]),
        (needs, {"as": "y"}),
        (needs, [{"file": "x", "as": "a/b"}]),
        (needs, [{"file": "x", "as": ".."}]),
        (path, ""),
        (path, 3),
    ],
)
def test_what_cannot_be(parse, value):
    with pytest.raises(ValueError, match=r"\w"):
        parse(value, HERE)
