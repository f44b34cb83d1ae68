"""The options of a launch: one list, and signatures that show it."""

from __future__ import annotations

import inspect
import pydoc

import pytest

import moorage
from moorage.kernel import blocking, launch
from moorage.kernel.options import LaunchOptions, LoopOptions, spelled_out_as


def test_the_options_are_those_of_the_signature_with_their_types():
    _, *named = inspect.signature(launch.launch).parameters.values()
    assert {each.name: each.annotation for each in named} == {
        name: annotation.__forward_arg__ for name, annotation in LoopOptions.__annotations__.items()
    }
    assert LoopOptions.__annotations__.keys() - LaunchOptions.__annotations__.keys() == {"warden"}


@pytest.mark.parametrize("function", [blocking.launch, blocking.start])
def test_the_blocking_functions_show_the_same_options_but_for_the_warden(function):
    theirs = dict(inspect.signature(launch.launch).parameters)
    del theirs["warden"]
    shown = inspect.signature(function)
    assert shown.parameters == theirs
    assert "restarts: " in pydoc.render_doc(function)
    assert shown.return_annotation in ("AbstractContextManager[Kernel]", "StartedKernel")


@pytest.mark.parametrize("function", [blocking.launch, blocking.start])
def test_every_option_is_explained_where_it_is_taken(function):
    for name in LaunchOptions.__annotations__:
        assert f"        {name}: " in inspect.getsource(function)


@pytest.mark.parametrize("function", [moorage.blocking.launch, moorage.blocking.start])
@pytest.mark.parametrize("name", ["warden", "forks"])
def test_an_option_that_is_none_is_refused_by_its_name(function, name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        function("python3", **{name: None})


def test_a_function_keeps_what_else_it_is():
    def opened(*, first: int = 1, warden: None = None) -> str:
        raise NotImplementedError

    @spelled_out_as(opened)
    def taking(**options) -> int:
        """Take."""
        return len(options)

    assert str(inspect.signature(taking)) == "(*, first: 'int' = 1) -> 'int'"
    assert taking(first=2) == 1
    assert taking.__doc__ == "Take."
