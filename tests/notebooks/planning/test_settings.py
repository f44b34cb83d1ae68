from __future__ import annotations

from pathlib import Path

import pytest

from moorage.errors import ConfigurationError, UsageError
from moorage.notebooks.planning.settings import (
    Configuration,
    Need,
    NotebookSettings,
    RenderSettings,
    load_configuration,
    merge,
)


def write(folder: Path, text: str, name: str = "moorage.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def test_the_nearest_file_from_the_start_upward_counts(tmp_path):
    (tmp_path / ".git").mkdir()
    write(tmp_path, "exclude = ['far']")
    write(tmp_path / "a", "[tool.moorage]\nexclude = ['near']", "pyproject.toml")
    write(tmp_path / "a/b", "[project]\nname = 'no moorage here'", "pyproject.toml")
    (tmp_path / "a/b/c").mkdir()
    configuration = load_configuration(tmp_path / "a/b/c")
    assert configuration.path == tmp_path / "a/pyproject.toml"
    assert configuration.root == tmp_path / "a"
    assert configuration.exclude == ("near",)


def test_moorage_toml_beats_pyproject_in_one_folder(tmp_path):
    write(tmp_path, "[tool.moorage]\npairs = 'both'", "pyproject.toml")
    write(tmp_path, "pairs = 'ipynb'")
    assert load_configuration(tmp_path).pairs == "ipynb"


def test_without_a_file_the_start_is_the_root(tmp_path):
    assert load_configuration(tmp_path) == Configuration(path=None, root=tmp_path)


def test_a_broken_pyproject_of_another_tool_does_not_matter(tmp_path):
    write(tmp_path, "moorage = ", "pyproject.toml")
    assert load_configuration(tmp_path).path is None
    write(tmp_path, "[tool.moorage\n", "pyproject.toml")
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml is no valid TOML"):
        load_configuration(tmp_path)


def test_flags_win_over_configuration_over_defaults(tmp_path):
    write(
        tmp_path,
        "[render]\ncell-timeout = '10m'\njobs = 4\nout = 'site'\n"
        "to = ['ipynb', 'html']\nparam = {n = 1, m = 2}",
    )
    flags = {"jobs": 2, "fail_fast": None, "param": ["n=3", "name=x"], "timeout": "1h30m", "json": "-"}
    settings = merge(flags, load_configuration(tmp_path))
    assert settings == RenderSettings(
        out=tmp_path / "site",
        jobs=2,
        to=("ipynb", "html"),
        cell_timeout=600,
        timeout=5400,
        param={"n": 3, "m": 2, "name": "x"},
        json=Path("-"),
    )


def test_naming_a_cache_beats_a_configured_none(tmp_path):
    write(tmp_path, "[render]\nno_cache = true")
    assert merge({}, load_configuration(tmp_path)).no_cache
    assert not merge({"cache": "here"}, load_configuration(tmp_path)).no_cache


def test_formats_may_be_given_with_commas():
    assert merge({"to": "ipynb, html,md"}, Configuration(None, Path())).to == ("ipynb", "html", "md")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=1.5", 1.5),
        ("a=True", True),
        ("a=null", None),
        ("a=[1]", [1]),
        ("a=b=c", "b=c"),
        ("a=", ""),
    ],
)
def test_parameters_on_the_command_line_have_types(text, value):
    assert merge({"param": [text]}, Configuration(None, Path())).param == {"a": value}


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"jobs": 0}, "--jobs 0 cannot be (E-USAGE). It must be a whole number from 1 up."),
        ({"cell_timeout": "soon"}, "--cell-timeout soon cannot be"),
        ({"timeout": float("nan")}, "--timeout nan cannot be"),
        ({"timeout": True}, "--timeout True cannot be"),
        ({"param": ["n"]}, "--param n cannot be (E-USAGE). It must be NAME=VALUE"),
        ({"env": ["a secret"]}, "--env (not shown) cannot be"),
        ({"param": ["a-b=1"]}, "names of variables"),
        ({"isolate": "docker"}, "It must be none or net"),
    ],
)
def test_flags_that_cannot_be(flags, text):
    with pytest.raises(UsageError) as caught:
        merge(flags, Configuration(None, Path()))
    assert text in str(caught.value)


def test_no_secret_is_shown():
    with pytest.raises(UsageError) as caught:
        merge({"env": ["sesame"]}, Configuration(None, Path()))
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(merge({"env": ["KEY=sesame"]}, Configuration(None, Path())))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "[render]\ncell-timeuot = 1",
            ["moorage.toml: render has no cell-timeuot", "Did you mean cell_timeout"],
        ),
        ("[render]\njobs = 'many'", ["moorage.toml: render: jobs = many cannot be", "whole number"]),
        ("pears = 'text'", ["moorage.toml has no pears", "pairs"]),
        ("pairs = 'none'", ["pairs = none", "text or ipynb or both"]),
        ("render = 1", ["render = 1", "a table"]),
        ("[notebook.'x.py']\nmemry = 1", ['notebook."x.py" has no memry', "memory"]),
        ("notebook.'x.py' = 3", ['notebook."x.py" cannot be 3', "a table"]),
        ("[notebook.'x.py']\nneeds = [{file = 'a', is = 'b'}]", ["needs", "as ="]),
        ("[notebook.'x.py']\nneeds = [{file = 'a', as = '../b'}]", ["plain name"]),
        ("[notebook.'x.py']\nneeds = [{file = 'a', as = \"b\\u0000c\"}]", ["zero bytes"]),
        ("[notebook.'x.py']\nneeds = \"b\\u0000c\"", ["zero bytes"]),
        ("[notebook.'x.py']\ninputs = [\"b\\u0000c\"]", ["zero bytes"]),
        ('[render]\nkernel = "b\\u0000c"', ["a text"]),
    ],
)
def test_configuration_that_cannot_be_names_file_key_and_near_names(tmp_path, text, parts):
    write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(tmp_path)
    assert str(tmp_path) in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_notebook_tables_by_glob_and_path_over_metadata(tmp_path):
    write(
        tmp_path,
        """
        [notebook."demos/base.py"]
        memory = "4GiB"
        cores = 2
        [notebook."demos/*.py"]
        memory = "1G"
        env = {A = "glob", B = 1}
        """,
    )
    configuration = load_configuration(tmp_path)
    metadata = {
        "memory": 5,
        "needs": ["x.h5", {"file": "../y.h5", "as": "y0.h5"}],
        "env": {"A": "own", "C": "own"},
    }
    assert configuration.notebook(tmp_path / "demos/base.py", metadata) == NotebookSettings(
        needs=(Need("x.h5"), Need("../y.h5", "y0.h5")),
        memory=4 * 2**30,
        cores=2,
        env={"A": "glob", "B": "1", "C": "own"},
    )
    run = RenderSettings(timeout=9, retries=3, env={"A": "flag"}, artifacts=("*.gif",))
    merged = configuration.notebook(tmp_path / "demos/base.py", {**metadata, "timeout": 5}, run)
    assert (merged.timeout, merged.retries, merged.artifacts) == (5, 3, ("*.gif",))
    assert merged.env == {"A": "flag", "B": "1", "C": "own"}
    assert configuration.notebook(tmp_path / "demos/other.py").memory == 2**30
    assert configuration.notebook(tmp_path / "other.py") == NotebookSettings()


def test_wrong_metadata_names_the_notebook(tmp_path):
    with pytest.raises(ConfigurationError, match=r"x\.ipynb: metadata\.moorage has no coers.*cores"):
        Configuration(None, tmp_path).notebook(tmp_path / "x.ipynb", {"coers": 2})
