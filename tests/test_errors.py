"""The tree of exceptions: codes, faults and sentences."""

from __future__ import annotations

import inspect
import re

import pytest

from moorage import errors
from moorage.errors import KernelDied, MoorageError, StartDeath, sentence

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MoorageError)]


def test_codes_are_unique_and_in_the_table():
    codes = [kind.code for kind in ALL]
    assert len(set(codes)) == len(codes)
    for kind in ALL:
        assert re.search(rf"{kind.__name__} +{kind.code}\b", errors.__doc__) or kind is MoorageError
        assert kind.fault in {"user", "kernel", "machine", "moorage"}


@pytest.mark.parametrize(
    ("why", "do", "text"),
    [
        ("", "", "what (E-MOORAGE)."),
        ("it is so", "", "what (E-MOORAGE). it is so."),
        ("", "Do this", "what (E-MOORAGE). Do this."),
        ("it is so.", "Do this?", "what (E-MOORAGE). it is so. Do this?"),
    ],
)
def test_what_why_do(why, do, text):
    assert str(MoorageError("what", why=why, do=do)) == text


def test_parts_are_attributes():
    error = StartDeath("what", why="why", do="do", exit_status=3, output="out")
    assert (error.what, error.why, error.do, error.exit_status, error.output) == (
        "what",
        "why",
        "do",
        3,
        "out",
    )
    assert isinstance(error, KernelDied)


def test_sentences():
    assert sentence(" a ") == "a."
    assert sentence("a!") == "a!"
    assert sentence("") == ""
    assert sentence("several\nlines") == "several\nlines"


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_pickling(kind):
    import pickle

    error = pickle.loads(pickle.dumps(kind("what", why="why", do="do")))
    assert type(error) is kind
    assert (error.what, error.why, error.do) == ("what", "why", "do")
