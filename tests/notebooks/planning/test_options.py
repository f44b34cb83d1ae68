"""The options of ``moorage.render``."""

from __future__ import annotations

import inspect
import pydoc

import pytest

import moorage
from moorage.errors import UsageError
from moorage.notebooks.planning.options import TOLD, RenderOptions, check_names
from moorage.notebooks.planning.settings import RenderSettings


def test_they_are_the_flags_but_for_those_that_tell_of_a_run():
    assert set(RenderOptions.__annotations__) | set(TOLD) == set(RenderSettings.__struct_fields__)


def test_signature_and_help_name_each_of_them():
    parameters = inspect.signature(moorage.render).parameters
    assert set(RenderOptions.__annotations__) <= set(parameters)
    assert parameters["jobs"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "cell_timeout" in pydoc.plain(pydoc.render_doc(moorage.render))
    for name in RenderOptions.__annotations__:
        assert f"{name}:" in moorage.render.__doc__ or f"{name}, " in moorage.render.__doc__, name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("jbos", "Did you mean jobs?"),
        ("cell_timout", "Did you mean cell_timeout"),
        ("qwertyuiop", r"help\(moorage.render\)"),
        ("report", "The command alone"),
    ],
)
def test_one_that_does_not_exist_is_refused_with_near_names(name, said):
    with pytest.raises(UsageError, match=rf"moorage.render has no option {name} .*{said}"):
        check_names({"jobs": 2, name: 1})
