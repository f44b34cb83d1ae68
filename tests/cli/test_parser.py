"""The parser complains as the rest of moorage does."""

from __future__ import annotations

import pytest

from moorage.cli.main import build_parser
from moorage.cli.parser import Parser, glued
from moorage.errors import UsageError


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rendr", "x"], "there is no command rendr (E-USAGE). Did you mean moorage render?"),
        (
            ["qwertyuiop"],
            "no command qwertyuiop (E-USAGE). Known are render, kernels, run, isolate, temp,",
        ),
        (["kernels", "shwo"], "no command kernels shwo (E-USAGE). Did you mean moorage kernels show?"),
        (["render"], "moorage render needs SRC (E-USAGE). SRC: notebook, script or directory. Try moorage"),
        (["kernels", "show"], "moorage kernels show needs TYPE (E-USAGE)."),
        (["render", "a.py", "-j", "x"], "--jobs x cannot be (E-USAGE). It must be a whole number."),
        (["kernels", "stop", "x", "--grace", "y"], "--grace y cannot be (E-USAGE). It must be a number."),
        (["render", "a.py", "-o"], "--out needs DIR|FILE (E-USAGE)."),
        (["render", "a.py", "--kernel", "-x"], "--kernel needs TYPE (E-USAGE). One that begins with -"),
        (["render", "a.py", "--isolate", "on"], "--isolate on cannot be (E-USAGE). It must be none or net."),
        (["render", "a.py", "-o", ""], "--out is empty (E-USAGE). A variable of the shell may be unset. Try"),
        (["render", "a.py", "--report="], "--report is empty (E-USAGE)."),
        (["render", "a.py", "--json", ""], "--json is empty (E-USAGE)."),
        (["render", "a.py", "--junit", ""], "--junit is empty (E-USAGE)."),
        (["render", "a.py", "--cache", ""], "--cache is empty (E-USAGE)."),
        (["render", "a.py", "--bundle", ""], "--bundle is empty (E-USAGE)."),
        (["run", "--existing", "", "-c", "1"], "--existing is empty (E-USAGE)."),
        (["run", "python3", "-c", "1", "--cwd", ""], "--cwd is empty (E-USAGE)."),
        (["temp", "--content", ""], "--content is empty (E-USAGE)."),
        (["temp", "--state", ""], "--state is empty (E-USAGE)."),
        (["temp", "status", "--state", ""], "--state is empty (E-USAGE)."),
        (["render", "a.py", "--force=3"], "--force takes no value (E-USAGE). It was given 3."),
        (["kernels", "install", "--user", "--prefix", "x"], "--prefix does not go with --user (E-USAGE)."),
    ],
)
def test_what_cannot_be_parsed_is_reported_in_words_of_moorage(words, said):
    with pytest.raises(UsageError) as caught:
        build_parser().parse_known_args(words)
    assert said in str(caught.value)
    assert "argument" not in str(caught.value)
    assert "invalid" not in str(caught.value)


def test_python_3_14_proposes_a_word_of_its_own():
    parser = build_parser()
    with pytest.raises(UsageError, match="Did you mean moorage render"):
        parser.error(
            "argument COMMAND: invalid choice: 'rendr', maybe you meant 'render'? (choose from render, run)"
        )


def test_what_is_not_known_of_argparse_is_passed_on():
    with pytest.raises(UsageError, match=r"something new \(E-USAGE\)\. Try moorage --help"):
        Parser(prog="moorage").error("something new")


@pytest.mark.parametrize(
    ("words", "word", "said"),
    [
        (["render"], "--jbos=3", "there is no flag --jbos=3 (E-USAGE). Did you mean --jobs"),
        (["render"], "--qwertyuiop", "Try moorage render --help"),
        ([], "--vresion", "Did you mean --version?"),
        (["doctor"], "--qwertyuiop", "Try moorage doctor --help"),
        (["kernels", "list"], "--wiat", "Did you mean --wait?"),
        (["kernels", None], "--jsn", "Did you mean --json?"),
        (["doctor"], "words", "moorage doctor does not take words (E-USAGE). Try moorage doctor --help"),
    ],
)
def test_an_unknown_flag_is_answered_with_near_ones_of_its_command(words, word, said):
    assert said in str(build_parser().chosen(*words).unknown(word))


def test_an_argument_for_the_kernel_may_look_like_a_flag():
    words = ["render", "a.py", "--kernel-arg", "--x", "--kernel-arg=--y", "-j", "2"]
    assert glued(words) == ["render", "a.py", "--kernel-arg=--x", "--kernel-arg=--y", "-j", "2"]
