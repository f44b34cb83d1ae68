"""Two notebooks that write one file are reported; two that write two are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.notebooks.output.artifacts import Artifact
from moorage.notebooks.output.conflicts import Conflicts


def artifact(name, changed=True):
    return Artifact(name, Path("/root/demos") / name, changed)


@pytest.fixture
def conflicts():
    return Conflicts()


def texts(notes):
    return [note.text for note in notes]


def test_one_after_the_other_both_write_it(conflicts):
    for source in ("a.py", "b.py"):
        conflicts.began(source, "save()")
        mine, notes = conflicts.claim(source, [artifact("out.gif")])
        conflicts.ended(source)
        assert len(mine) == 1
    assert texts(notes) == ["a.py and b.py both write /root/demos/out.gif: the later one wins"]


def test_at_once_and_both_name_it(conflicts):
    conflicts.began("a.py", "save('out.gif')")
    conflicts.began("b.py", "save('out.gif')")
    assert texts(conflicts.claim("a.py", [artifact("out.gif")])[1]) == []
    assert "both write" in texts(conflicts.claim("b.py", [artifact("out.gif")])[1])[0]
    assert texts(conflicts.claim("b.py", [artifact("out.gif")])[1]) == []


def test_at_once_with_files_of_their_own(conflicts):
    conflicts.began("a.py", "save('a.gif')")
    conflicts.began("b.py", "save('b.gif')")
    both = [artifact("a.gif"), artifact("b.gif")]
    for source in ("a", "b"):
        mine, notes = conflicts.claim(f"{source}.py", both)
        assert [one.name for one in mine] == [f"{source}.gif"]
        assert notes == ()


def test_at_once_and_neither_names_it(conflicts):
    conflicts.began("a.py", "save(name)")
    conflicts.began("b.py", "save(name)")
    assert conflicts.claim("a.py", [artifact("x1.gif")])[1] == ()
    mine, notes = conflicts.claim("b.py", [artifact("x1.gif")])
    assert len(mine) == 1
    assert "may come from a.py or b.py" in texts(notes)[0]


def test_what_was_only_declared_belongs_to_all(conflicts):
    for source in ("a.py", "b.py"):
        conflicts.began(source, "")
        mine, notes = conflicts.claim(source, [artifact("mesh.msh", changed=False)])
        assert len(mine) == 1
        assert notes == ()


def test_two_files_for_one_place(conflicts):
    one = artifact("a.gif")
    other = Artifact("a.gif", Path("/root/other/a.gif"), changed=True)
    assert conflicts.placed("a.py", one, Path("/out/a.gif")) == ()
    assert conflicts.placed("a.py", one, Path("/out/a.gif")) == ()
    (note,) = conflicts.placed("b.py", other, Path("/out/a.gif"))
    assert "a.py and b.py" in note.text
