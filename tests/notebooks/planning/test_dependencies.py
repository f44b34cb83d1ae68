from __future__ import annotations

from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.notebooks.planning.dependencies import (
    Declared,
    FileLink,
    Resolved,
    resolve,
)
from moorage.notebooks.planning.settings import Configuration
from moorage.plan.schedule import Job, ordered

ROOT = Path("/demos")


def notebook(name: str, root: Path = ROOT, **said) -> Declared:
    path = root / name
    return Declared(name, path, Configuration(None, root).notebook(path, said))


def needs(*notebooks: Declared, exists=lambda path: False) -> dict[str, set[str]]:
    return {name: set(each.needs) for name, each in resolve(notebooks, exists=exists).notebooks.items()}


def test_a_need_names_a_notebook_or_a_file_one_makes():
    assert needs(
        notebook("base/base.py", outputs=["Final.h5", "*.gif"]),
        notebook("a/a.py", needs=["../base/base.py"]),
        notebook("b/b.py", needs=["../base/Final.h5"]),
        notebook("c/c.py", needs=["../base/movie.gif", "../b/b.ipynb"]),
        notebook("d/d.py", inputs=["../base/Final.h5", "../b/*.h5"]),
    ) == {
        "base/base.py": set(),
        "a/a.py": {"base/base.py"},
        "b/b.py": {"base/base.py"},
        "c/c.py": {"base/base.py", "b/b.py"},
        "d/d.py": {"base/base.py"},
    }


def test_a_made_folder_covers_what_is_in_it():
    assert needs(notebook("a.py", outputs=["results"]), notebook("b.py", needs=["results/1.h5"]))["b.py"] == {
        "a.py"
    }


def test_a_file_that_no_notebook_makes_must_exist():
    declared = [notebook("a.py", needs=["x.h5", "y.h5"], outputs=["y.h5"])]
    resolved = resolve(declared, exists=lambda path: path == ROOT / "x.h5")
    assert resolved.notebooks["a.py"] == Resolved(missing=("needs y.h5, which no notebook makes",))


def test_wildcards_in_the_names_of_folders_mean_themselves():
    assert needs(notebook("[a]/x.py", outputs=["*.h5"]), notebook("y.py", needs=["[a]/1.h5"]))["y.py"] == {
        "[a]/x.py"
    }
    assert needs(notebook("[a]/x.py", outputs=["*.h5"]), notebook("y.py", needs=["a/1.h5"]))["y.py"] == set()


def test_a_circle_is_left_to_the_schedule():
    found = needs(notebook("a.py", needs=["b.py"]), notebook("b.py", needs=["a.py"]))
    with pytest.raises(UsageError, match="circle"):
        ordered([Job(name, frozenset(each)) for name, each in found.items()])


def test_a_need_under_another_name_is_a_link():
    found = resolve(
        [
            notebook("base/base.py", outputs=["Final.h5"]),
            notebook("case/case.py", needs=[{"file": "../base/Final.h5", "as": "Initial.h5"}]),
        ]
    ).notebooks["case/case.py"]
    assert found.needs == {"base/base.py"}
    assert found.links == (FileLink(ROOT / "case/Initial.h5", ROOT / "base/Final.h5"),)
    assert resolve([notebook("x.py", needs=[{"file": "./y", "as": "y"}])]).notebooks["x.py"].links == ()


def test_two_files_under_one_name_in_one_folder_are_refused():
    with pytest.raises(UsageError, match=r"a\.py and b\.py want different files as /demos/in"):
        resolve(
            [
                notebook("a.py", needs=[{"file": "x", "as": "in"}]),
                notebook("b.py", needs=[{"file": "y", "as": "in"}]),
            ]
        )


def test_a_file_made_twice_is_said():
    found = resolve(
        [notebook("a.py", outputs=["x.h5", "*.gif"]), notebook("b.py", outputs=["./x.h5", "*.gif"])]
    )
    assert found.notes == ("a.py and b.py both say they make /demos/x.h5",)
