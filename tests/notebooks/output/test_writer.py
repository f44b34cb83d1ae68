"""Only new files and moorage's own are written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moorage.errors import OutputError
from moorage.notebooks.output.made import FILE_NAME
from moorage.notebooks.output.writer import Writer, advice, identities


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_new_files_and_its_own_are_written_and_nothing_else(out):
    writer = Writer(out)
    (out / "theirs.md").write_text("mine")
    writer.write(out / "a/x.md", b"1")
    Writer(out).write(out / "a/x.md", b"2")
    with pytest.raises(OutputError, match="moorage did not make it"):
        writer.write(out / "theirs.md", b"3")
    assert (out / "a/x.md").read_bytes() == b"2"
    assert (out / "theirs.md").read_text() == "mine"
    (out / "a/x.md").write_text("edited")
    with pytest.raises(OutputError, match="changed since"):
        writer.write(out / "a/x.md", b"3")
    Writer(out, overwrite=True).write(out / "a/x.md", b"4")
    assert writer.obstacle(out / "a/x.md") is None


def test_an_empty_file_has_nothing_to_lose(out):
    (out / "x").touch()
    Writer(out).write(out / "x", b"1")
    assert (out / "x").read_bytes() == b"1"


@pytest.mark.parametrize("name", ["source", "hard", "soft"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_no_name_of_a_source_is_written_over(out, name, overwrite):
    (out / "source").write_text("mine")
    (out / "hard").hardlink_to(out / "source")
    (out / "soft").symlink_to("source")
    writer = Writer(out, overwrite=overwrite, sources=[out / "source"])
    assert writer.obstacle(out / name) == "source"
    with pytest.raises(OutputError, match="sources are never changed"):
        writer.write(out / name, b"1")
    assert (out / "source").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("target", ["file", "folder/new", "nowhere/new"])
def test_no_link_is_followed_out_of_the_folder(out, tmp_path, overwrite, target):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "precious").write_text("mine")
    (out / "file").symlink_to(tmp_path / "precious")
    (out / "folder").symlink_to(tmp_path / "elsewhere")
    (out / "nowhere").symlink_to(tmp_path / "missing")
    with pytest.raises(OutputError, match="link leads out"):
        Writer(out, overwrite=overwrite).put(out / target, b"1")
    assert (tmp_path / "precious").read_text() == "mine"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert not (tmp_path / "missing").exists()


def test_a_link_within_the_folder_leads_to_a_file_that_counts_by_its_own_name(out):
    (out / "deep").mkdir()
    (out / "link").symlink_to("deep")
    Writer(out).write(out / "link/x", b"1")
    assert Writer(out).made.names() == {"deep/x"}
    Writer(out).write(out / "deep/x", b"2")


def test_the_folder_itself_may_be_a_link(out, tmp_path):
    (tmp_path / "www").symlink_to(out)
    Writer(tmp_path / "www").write(tmp_path / "www/x", b"1")
    Writer(out).write(out / "x", b"2")
    assert (out / "x").read_bytes() == b"2"


def test_pipes_and_devices_are_left_alone(out):
    os.mkfifo(out / "x")
    with pytest.raises(OutputError, match="a pipe, a device"):
        Writer(out, overwrite=True).write(out / "x", b"1")


def test_another_case_of_a_name_is_another_file_unless_it_is_the_same_one(out):
    Writer(out).write(out / "Notes.md", b"1")
    (out / "notes.md").hardlink_to(out / "Notes.md")  # as a file system that knows no case shows it
    with pytest.raises(OutputError, match="did not make it"):
        Writer(out).write(out / "notes.md", b"2")
    assert (out / "Notes.md").read_bytes() == b"1"


def test_only_missing_files_are_put_beside_the_sources_and_none_anywhere_else(out, tmp_path):
    writer = Writer(out, home=tmp_path, private=tmp_path / "private")
    writer.put(tmp_path / "private/x.ipynb", b"1")
    writer.put(tmp_path / "private/x.ipynb", b"2")
    writer.put(tmp_path / "data.csv", tmp_path / "private/x.ipynb")
    assert (tmp_path / "data.csv").read_bytes() == b"2"
    for path in (tmp_path / "data.csv", tmp_path.parent / "data.csv"):
        with pytest.raises(OutputError, match="outside"):
            writer.put(path, b"3")
    (tmp_path / "away").symlink_to(tmp_path.parent)
    with pytest.raises(OutputError, match="outside"):
        writer.put(tmp_path / "away/data.csv", b"3")
    assert not (tmp_path.parent / "data.csv").exists()
    assert not (out / FILE_NAME).exists()
    assert writer.is_private(tmp_path / "private/y")


def test_a_record_that_cannot_be_written_is_told_and_nothing_is_put(out):
    (out / FILE_NAME).mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        Writer(out).write(out / "x", b"1")
    assert [path.name for path in out.iterdir()] == [FILE_NAME]


def test_what_to_do_depends_on_the_obstacle(tmp_path):
    assert "--overwrite" in advice("foreign")
    assert "--overwrite" not in advice("outside")
    assert identities([tmp_path / "missing"]) == frozenset()


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_record_is_no_place_for_an_artefact(out, overwrite):
    with pytest.raises(OutputError, match="own record"):
        Writer(out, overwrite=overwrite).write(out / FILE_NAME, b"planted")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("what", [b"1", None], ids=["written", "copied"])
def test_a_link_that_is_put_there_after_the_look_is_not_followed(out, tmp_path, monkeypatch, what):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "copied").write_text("1")
    look = Writer._obstacle

    def looked(writer, real, top):
        found = look(writer, real, top)
        Path(real).symlink_to(tmp_path / "precious")
        return found

    monkeypatch.setattr(Writer, "_obstacle", looked)
    with pytest.raises(OutputError, match="has just been put there"):
        Writer(out, overwrite=True).put(out / "x", what or tmp_path / "copied")
    assert (tmp_path / "precious").read_text() == "mine"


def test_nothing_goes_by_chance_where_a_document_of_the_run_goes(out):
    (out / "link").symlink_to(out)
    writer = Writer(out, overwrite=True, documents=[out / "b.html", out / "a_files/b.ipynb"])
    for path in (out / "b.html", out / "link/b.html"):
        with pytest.raises(OutputError, match="A document of this run"):
            writer.bring(path, b"1")
    writer.bring(out / "film.gif", b"1")
    writer.put(out / "b.html", b"1")


def test_what_is_kept_in_a_pages_folder_of_files(out):
    (out / "a_files/deep").mkdir(parents=True)
    for name in ("a_files/x.ipynb", "a_files/y.png", "z.ipynb"):
        (out / name).write_text("")
    (out / "a_files/deep/hard.png").hardlink_to(out / "z.ipynb")
    sources = [out / "a_files/x.ipynb", out / "z.ipynb"]
    writer = Writer(out, sources=sources, documents=[out / "a_files/deep/d.html", out / "b.html"])
    names = sorted(path.relative_to(out / "a_files").as_posix() for path in writer.kept(out / "a_files"))
    assert names == ["deep/d.html", "deep/hard.png", "x.ipynb"]
    assert writer.kept(out / "b_files") == []
