"""What installs a kernel for a language."""

from __future__ import annotations

import pytest

from moorage.discovery.installs import COMMANDS, advice


@pytest.mark.parametrize(
    ("language", "said"),
    [("R", "IRkernel::installspec"), ("julia", 'Pkg.add("IJulia")'), ("typescript", "deno jupyter")],
)
def test_the_command_is_reported(language, said):
    assert advice(language).startswith("Type: ")
    assert said in advice(language)


def test_of_other_languages_the_list_of_kernels_is_reported():
    assert advice("klingon").startswith("Install one: https://github.com/jupyter/jupyter/wiki")


def test_languages_are_spelled_as_kernelspecs_do():
    assert all(name == name.lower() for name in COMMANDS)
