"""Plans: which notebooks, with what settings, after which others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import script, write
from contexts import request_in
from moorage.errors import ConfigurationError, UsageError
from moorage.notebooks.planning import plan as plan_module
from moorage.notebooks.planning.plan import Plan, _project, find_documents, make_plan


def plan(folder: Path, *sources: str, **flags) -> Plan:
    request, collection = find_documents(request_in(folder, sources, **flags))
    return make_plan(request, collection, private=folder / "private")


def notebook(metadata: dict) -> str:
    return json.dumps({"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def test_planning_reads_every_source_and_writes_nothing(tmp_path):
    write(tmp_path, {"a.py": script("1"), "b.py": script("2")})
    made = plan(tmp_path, ".")
    assert {name: item.data for name, item in made.items.items()} == {
        "a.py": (tmp_path / "a.py").read_bytes(),
        "b.py": (tmp_path / "b.py").read_bytes(),
    }
    assert {path.name for path in tmp_path.iterdir()} == {"a.py", "b.py"}


def test_settings_come_from_metadata_and_configuration_wins(tmp_path):
    mine = {"moorage": {"cores": 2, "memory": "1GiB", "retries": 5}}
    write(tmp_path, {"a.ipynb": notebook(mine), "moorage.toml": '[notebook."a.ipynb"]\ncores = 3\n'})
    (job,) = plan(tmp_path, "a.ipynb").jobs
    assert (job.cores, job.memory, job.retries) == (3, 2**30, 5)


def test_the_flag_says_how_often_unless_the_notebook_does(tmp_path):
    write(tmp_path, {"a.py": script("1"), "b.ipynb": notebook({"moorage": {"retries": 0}})})
    retries = {job.id: job.retries for job in plan(tmp_path, ".", retries=4).jobs}
    assert retries == {"a.py": 4, "b.ipynb": 0}


def test_a_notebook_that_others_need_is_waited_for(tmp_path):
    write(
        tmp_path,
        {
            "a.py": script("1"),
            "b.ipynb": notebook({"moorage": {"needs": ["a.py"]}}),
            "c.ipynb": notebook({"moorage": {"needs": ["d.h5"]}}),
        },
    )
    made = plan(tmp_path, ".")
    assert {name: item.waited_for for name, item in made.items.items()} == {
        "a.py": True,
        "b.ipynb": False,
        "c.ipynb": False,
    }
    assert {job.id: set(job.needs) for job in made.jobs}["b.ipynb"] == {"a.py"}
    assert made.items["c.ipynb"].missing == "needs d.h5, which no notebook makes"


def test_wrong_metadata_is_told_before_anything_is_done(tmp_path):
    write(tmp_path, {"a.ipynb": notebook({"moorage": {"cores": "many"}})})
    with pytest.raises(ConfigurationError, match="cores"):
        plan(tmp_path, "a.ipynb")


@pytest.mark.parametrize("pattern", ["/etc/*.gif", "../../*.gif", " "])
def test_an_artefact_pattern_that_cannot_be_is_told_before_anything_is_done(tmp_path, pattern):
    write(tmp_path, {"a.py": script("1")})
    with pytest.raises(UsageError, match="artefact pattern"):
        plan(tmp_path, "a.py", artifacts=[pattern])


def test_a_source_that_is_no_notebook_is_left_for_its_turn(tmp_path):
    write(tmp_path, {"a.ipynb": '{"moorage": '})
    assert list(plan(tmp_path, "a.ipynb").items) == ["a.ipynb"]


def test_timings_are_known_whichever_sources_are_named_beside_it(tmp_path):
    timings = {"version": 1, "seconds": {"demos/a.py": 7.5}}
    files = {"moorage.toml": "", "demos/a.py": script("1"), ".moorage/timings.json": json.dumps(timings)}
    write(tmp_path, files)
    for sources in (["."], ["demos"], ["demos/a.py"]):
        made = plan(tmp_path, *sources)
        assert list(made.expected.values()) == [7.5]
        assert made.jobs[0].expected == 7.5
        assert not next(iter(made.items.values())).fresh


def test_the_project_is_the_configurations_folder_else_the_repository_else_the_sources(tmp_path):
    write(tmp_path, {"demos/a.py": script("1")})
    assert plan(tmp_path, "demos").home == tmp_path / "demos"
    write(tmp_path, {".git/HEAD": ""})
    assert plan(tmp_path, "demos").home == tmp_path
    write(tmp_path, {"demos/moorage.toml": ""})
    assert plan(tmp_path, "demos").home == tmp_path / "demos"


def test_notebooks_wanted_for_their_pages_only_lie_in_a_private_place(tmp_path):
    write(tmp_path, {"a.py": script("1")})
    item = plan(tmp_path, "a.py", to="html").items["a.py"]
    assert item.documents["ipynb"].parent == tmp_path / "private"
    assert item.documents["html"] == tmp_path / "rendered/a.html"


def test_no_git_folder_in_a_place_that_every_user_may_write_to_makes_a_project(tmp_path):
    (tmp_path / "top/.git").mkdir(parents=True)
    (tmp_path / "top/docs").mkdir()
    assert _project(tmp_path / "top/docs") == tmp_path / "top"
    (tmp_path / "top").chmod(0o1777)
    assert _project(tmp_path / "top/docs") == tmp_path / "top/docs"


def test_a_page_named_by_its_file_means_its_format_and_every_source_is_read_once(tmp_path, monkeypatch):
    write(tmp_path, {"a.py": script("1")})
    read = []
    monkeypatch.setattr(plan_module, "read_regular", lambda path, _: read.append(path) or path.read_bytes())
    item = plan(tmp_path, "a.py", out=tmp_path / "page.html").items["a.py"]
    assert item.documents["html"] == tmp_path / "page.html"
    assert read == [tmp_path / "a.py"]
