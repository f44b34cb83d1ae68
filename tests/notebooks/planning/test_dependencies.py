from __future__ import annotations

import os
from pathlib import Path

import pytest

from moorage.errors import DocumentError, OutputError, UsageError
from moorage.notebooks.planning import dependencies
from moorage.notebooks.planning.dependencies import (
    Declared,
    Link,
    Links,
    Resolved,
    input_files,
    missing_outputs,
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


def test_a_file_nobody_makes_must_exist():
    declared = [notebook("a.py", needs=["x.h5", "y.h5"], outputs=["y.h5"])]
    resolved = resolve(declared, exists=lambda path: path == ROOT / "x.h5")
    assert resolved.notebooks["a.py"] == Resolved(missing=("needs y.h5, which nobody makes",))


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
    assert found.links == (Link(ROOT / "case/Initial.h5", ROOT / "base/Final.h5"),)
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


@pytest.fixture
def link(tmp_path) -> Link:
    (tmp_path / "base").mkdir()
    (tmp_path / "case").mkdir()
    (tmp_path / "base/Final.h5").write_text("data")
    return Link(tmp_path / "case/Initial.h5", tmp_path / "base/Final.h5")


def test_a_link_is_there_within_the_block_and_told_to_the_guard(link):
    told = []
    links = Links(
        guard=lambda path, says: told.append((f"guard {says}", path, os.path.lexists(path))),
        unguard=lambda path: told.append(("unguard", path, os.path.lexists(path))),
    )
    with links.placed([link]):
        assert link.place.read_text() == "data"
        assert str(link.place.readlink()) == "../base/Final.h5"
    assert not os.path.lexists(link.place)
    assert told == [("guard ../base/Final.h5", link.place, False), ("unguard", link.place, False)]


def test_links_go_when_the_block_fails_and_when_a_later_one_cannot_be_made(link):
    with pytest.raises(ZeroDivisionError), Links().placed([link]):
        raise ZeroDivisionError
    assert not os.path.lexists(link.place)
    other = Link(link.place.with_name("taken"), link.target)
    other.place.write_text("mine")
    with pytest.raises(OutputError, match="taken is in the way of a link"), Links().placed([link, other]):
        pass
    assert not os.path.lexists(link.place)
    assert other.place.read_text() == "mine"
    told = []
    gone = Link(link.place.parent / "gone/x", link.target)
    with pytest.raises(OutputError, match="cannot be made a link"), Links(unguard=told.append).placed([gone]):
        pass
    assert told == [gone.place]


def test_two_notebooks_share_a_link_until_the_last_ends(link):
    links = Links()
    with links.placed([link]):
        with links.placed([link]):
            assert link.place.exists()
        assert link.place.exists()
    assert not os.path.lexists(link.place)


def test_a_link_of_the_users_stays(link):
    link.place.symlink_to(link.target)
    with Links().placed([link]):
        pass
    assert link.place.is_symlink()


def test_what_the_notebook_put_in_its_place_stays(link):
    with Links().placed([link]):
        link.place.unlink()
        link.place.write_text("made by the notebook")
    assert link.place.read_text() == "made by the notebook"


def test_links_lead_right_where_a_folder_is_a_link(link, tmp_path):
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "short").symlink_to("far/away")
    with Links().placed([Link(tmp_path / "short/x.h5", link.target)]):
        assert (tmp_path / "far/away/x.h5").read_text() == "data"


def test_a_file_to_come_can_be_linked(link):
    link.target.unlink()
    with Links().placed([link]):
        link.target.write_text("later")
        assert link.place.read_text() == "later"


def test_outputs_that_are_not_there(link, tmp_path):
    assert missing_outputs(tmp_path / "base/x.py", ["Final.h5", "*.h5", "*.gif", "../case"]) == ("*.gif",)


def test_files_a_notebook_reads(tmp_path):
    for name in ("a/1.h5", "a/b/2.h5", "c/.3.h5", "d.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    declared = notebook("c/x.py", tmp_path, inputs=["../a", "*.h5", "gone"], needs=["../d.h5", "../gone"])
    found = input_files(declared.path, declared.settings)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "a/1.h5",
        "a/b/2.h5",
        "c/.3.h5",
        "d.h5",
    ]


@pytest.mark.parametrize("pattern", ["**/**/**/**/*.h5", "**/" * 90 + "*.h5", "**/*5"])
def test_patterns_of_inputs_look_at_no_folder_twice_and_follow_links_once(tmp_path, pattern):
    for name in ("a/1.h5", "a/b/2.h5", "c/.3.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/loop").symlink_to(tmp_path)
    declared = notebook("x.py", tmp_path, inputs=[pattern])
    names = {path.name for path in input_files(declared.path, declared.settings)}
    assert names == {"1.h5", "2.h5", ".3.h5"}


def test_a_folder_of_inputs_is_followed_behind_its_links_and_in_no_circle(tmp_path):
    for name in ("data/1.h5", "elsewhere/deep/2.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "data/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/deep/back").symlink_to(tmp_path / "data")
    declared = notebook("x.py", tmp_path, inputs=["data"])
    found = [path.relative_to(tmp_path).as_posix() for path in input_files(declared.path, declared.settings)]
    assert found == ["data/1.h5", "data/linked/deep/2.h5"]


def test_what_is_no_file_is_no_input(tmp_path):
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data/pipe")
    (tmp_path / "data/zero").symlink_to("/dev/zero")
    (tmp_path / "data/x").touch()
    for name in ("data", "data/*"):
        declared = notebook("x.py", tmp_path, inputs=[name])
        assert input_files(declared.path, declared.settings) == (tmp_path / "data/x",)
    for name in ("data/pipe", "data/zero", "/dev/zero"):
        declared = notebook("x.py", tmp_path, inputs=[name])
        with pytest.raises(DocumentError, match="no regular file"):
            input_files(declared.path, declared.settings)


def test_too_many_inputs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(dependencies, "MOST_INPUTS", 3)
    for each in range(5):
        (tmp_path / f"{each}.h5").touch()
    for name in (".", "*.h5", "**"):
        declared = notebook("x.py", tmp_path, inputs=[name])
        with pytest.raises(DocumentError, match="more than 3 files"):
            input_files(declared.path, declared.settings)
