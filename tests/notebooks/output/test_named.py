"""Files that flags name one by one: replaced only when they say that moorage made them."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from foreign_user import give_away
from moorage.errors import OutputError
from moorage.notebooks.output.bundle import Member, write_bundle
from moorage.notebooks.output.named import (
    check_named,
    is_made,
    leads_out,
    named_obstacle,
    unwritable,
    write_named,
)
from moorage.notebooks.output.writer import identities
from moorage.notebooks.show.record import RunRecord
from moorage.notebooks.show.report import About, report_page
from moorage.notebooks.show.results import to_junit
from notebooks.made_up import OK, run


def obstacle(path, *, overwrite=False, sources=()):
    return named_obstacle(path, cwd=path.parent, overwrite=overwrite, sources=identities(sources))


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz", "b.tgz", "b.zip"])
def test_a_bundle_says_that_moorage_made_it(tmp_path, name):
    (tmp_path / "x").write_text("x" * 10_000)
    members = [Member("x", tmp_path / "x")]
    write_bundle(tmp_path / name, members)
    first = (tmp_path / name).read_bytes()
    assert is_made(tmp_path / name)
    write_bundle(tmp_path / name, members)
    assert (tmp_path / name).read_bytes() == first
    write_bundle(tmp_path / f"empty{name}", [])
    assert is_made(tmp_path / f"empty{name}")


def test_archives_of_others_do_not(tmp_path):
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as other:
        other.write(tmp_path / "x")
    assert not is_made(tmp_path / "t.tar.gz")
    assert not is_made(tmp_path / "z.zip")


def test_results_and_reports_say_so_too(tmp_path):
    record = RunRecord()
    for event in run(OK):
        record.handle(event)
    page = report_page(tmp_path / "r.html", record, About("p", "1"), executed={})
    (tmp_path / "r.html").write_text(page)
    (tmp_path / "j.xml").write_bytes(to_junit([OK], 1.0))
    (tmp_path / "j.json").write_text('{\n "moorage": "0.1.0",\n "seconds": 1,\n "notebooks": []\n}')
    assert all(is_made(tmp_path / name) for name in ("r.html", "j.xml", "j.json"))


@pytest.mark.parametrize(
    "data",
    [
        b'{"cells": [], "moorage": 1}',
        b'{"moorage": {"of": "the user"}}',
        b'{"moorage": "0.1.0", "kernel": "python3", "status": "ok", "seconds": 1.5}',
        b'<!DOCTYPE html><title>notes</title><!-- <meta name="generator" content="moorage 1"> -->',
        b"# Notes\n<!-- made by moorage -->",
        b"<html>",
        b"\x1f\x8b",
        b"\x1f\x8b\x08\x00rubbish",
        b"PKmade by moorage is what I say",
    ],
)
def test_other_files_do_not(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    assert not is_made(tmp_path / "x")
    assert obstacle(tmp_path / "x") == "foreign"
    assert obstacle(tmp_path / "x", overwrite=True) is None
    assert obstacle(tmp_path / "x", overwrite=True, sources=[tmp_path / "x"]) == "source"


def test_links_are_not_followed_unless_asked_for(tmp_path):
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd/r.json").symlink_to(tmp_path / "new.json")
    (tmp_path / "cwd/reports").symlink_to(tmp_path)
    for name in ("r.json", "reports/new.json"):
        path = tmp_path / "cwd" / name
        asked = {"cwd": tmp_path / "cwd", "sources": ()}
        assert named_obstacle(path, overwrite=False, **asked) == "outside"
        assert named_obstacle(path, overwrite=True, **asked) is None


def test_streams_of_the_system_are_written_to_and_planted_pipes_are_not(tmp_path):
    assert obstacle(Path("/dev/null")) is None
    assert obstacle(Path("/dev/stdout")) is None
    os.mkfifo(tmp_path / "x")
    assert obstacle(tmp_path / "x") == "special"
    assert obstacle(tmp_path / "x", overwrite=True) == "special"


@pytest.mark.timeout(60)
def test_a_pipe_that_came_after_the_look_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x")
    assert not is_made(tmp_path / "x")


def test_an_empty_file_and_a_missing_one_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    for name in ("empty", "new", "deep/new"):
        write_named(Path(name), b"1", overwrite=False)
        assert (tmp_path / name).read_bytes() == b"1"
        with pytest.raises(OutputError, match="moorage did not make it"):
            check_named(Path(name), overwrite=False)


def test_files_in_shared_memory_are_files(tmp_path):
    path = Path("/dev/shm") / tmp_path.name
    asked = {"cwd": tmp_path, "overwrite": False, "sources": ()}
    if not path.parent.is_dir():
        pytest.skip("this machine has no /dev/shm")
    path.write_text("mine")
    try:
        assert named_obstacle(path, **asked) == "foreign"
    finally:
        path.unlink()


def test_no_link_leads_out_of_the_project_from_a_folder_below_its_top(tmp_path):
    (tmp_path / "p/.git").mkdir(parents=True)
    (tmp_path / "p/sub").mkdir()
    (tmp_path / "p/reports").symlink_to(tmp_path)
    assert leads_out(tmp_path / "p/reports", tmp_path / "p/sub")
    assert leads_out(tmp_path / "p/reports/deep", tmp_path / "p")
    assert not leads_out(tmp_path / "p/sub", tmp_path / "p/sub")
    assert not leads_out(tmp_path / "elsewhere", tmp_path / "p/sub")


def test_a_link_that_is_put_there_after_the_look_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("precious").write_text("mine")
    look = named_obstacle

    def looked(path, **asked):
        found = look(path, **asked)
        path.symlink_to(tmp_path / "precious")
        return found

    monkeypatch.setattr("moorage.notebooks.output.named.named_obstacle", looked)
    with pytest.raises(OutputError, match="has just been put there"):
        write_named(Path("report.html"), b"1", overwrite=False)
    assert Path("precious").read_text() == "mine"


@pytest.mark.parametrize("data", [b"", b'{"moorage": "0.1.0", "seconds": 1.5, "notebooks": []}'])
def test_a_file_that_another_user_has_put_into_a_folder_like_tmp_is_not_taken_for_ours(tmp_path, data):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for name in ("own", "theirs"):
        (shared / name).write_bytes(data)
    give_away(shared / "theirs")
    assert obstacle(shared / "own") is None
    assert obstacle(shared / "theirs") == "foreign"
    shared.chmod(0o775)  # of a team
    assert obstacle(shared / "theirs") is None


def test_what_cannot_be_written_is_seen_before(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert unwritable(tmp_path / "new/folders/r.html") == ""
    assert unwritable(tmp_path / "file") == ""
    assert unwritable(Path("/dev/stdout")) == ""
    assert unwritable(tmp_path / "folder") == "It is a folder"
    assert unwritable(tmp_path / "file/r.html") == f"{tmp_path / 'file'} is no folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_seen_before(tmp_path):
    tmp_path.chmod(0o500)
    assert unwritable(tmp_path / "r.html") == f"{tmp_path} may not be written to"
