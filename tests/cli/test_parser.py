"""The parser complains as the rest of moorage does."""

from __future__ import annotations

import pytest

from moorage.cli.parser import Parser, glued, unknown_flag
from moorage.errors import UsageError


def test_what_cannot_be_parsed_is_raised_and_says_where_help_is():
    parser = Parser(prog="moorage render")
    parser.add_argument("--jobs", type=int)
    with pytest.raises(UsageError, match="Try moorage render --help"):
        parser.parse_args(["--jobs", "many"])


def test_an_unknown_command_is_named_with_those_there_are():
    parser = Parser(prog="moorage")
    parser.add_subparsers(metavar="COMMAND", parser_class=Parser).add_parser("render")
    with pytest.raises(UsageError, match=r"there is no command rendr .*Known is 'render'"):
        parser.parse_args(["rendr"])


@pytest.mark.parametrize(
    ("word", "verb", "advice"),
    [
        ("--jbos=3", "render", "Did you mean --jobs"),
        ("--qwertyuiop", "render", "Try moorage render --help"),
        ("--qwertyuiop", None, "Try moorage --help"),
        ("--jbos=3", "doctor", "Try moorage doctor --help"),
    ],
)
def test_an_unknown_flag_is_answered_with_near_ones(word, verb, advice):
    assert advice in str(unknown_flag(word, verb))


def test_an_argument_for_the_kernel_may_look_like_a_flag():
    words = ["render", "a.py", "--kernel-arg", "--x", "--kernel-arg=--y", "-j", "2"]
    assert glued(words) == ["render", "a.py", "--kernel-arg=--x", "--kernel-arg=--y", "-j", "2"]
