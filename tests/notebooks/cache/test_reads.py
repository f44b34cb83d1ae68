"""What was seen, made into what a result depends on."""

from __future__ import annotations

import json
import os
import time

import pytest

from moorage.notebooks.cache.names import Names
from moorage.notebooks.cache.reads import KernelReads, decoded, depends, named, of_text, sizeable
from moorage.notebooks.cache.store import FileState, FileStates

START = time.time_ns() + 86_400 * 10**9  # later than all that tests write
ABSENT = FileState("", 0, 0)


def report(**changes):
    nothing = {name: [] for name in ("seen", "names", "missing", "local", "installed")}
    return KernelReads(**{"failed": "", "packages": {}, **nothing, **changes})


def result(folder, *seen, told=None, **rest):
    whole = [
        (kind, str(folder / text) if kind != "program" else text, START + when) for kind, text, when in seen
    ]
    return depends(told or report(), whole, FileStates(), Names(), directory=folder, started_ns=START, **rest)


def files(folder, *seen, **rest):
    found = result(folder, *seen, **rest)
    assert not isinstance(found, str), found
    return {path.name: bool(state.digest) for path, state in found.files.items()}


def change(path):
    """Have a file changed after the run began."""
    os.utime(path, ns=(START + 10**9,) * 2)


@pytest.fixture
def place(tmp_path):
    for name in ("data.csv", "d/inner.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
        os.utime(tmp_path / name, (1, 1))
    return tmp_path


def test_what_was_read_first_counts(place):
    assert files(place, ("read", "data.csv", 1)) == {"data.csv": True}
    assert files(place, ("made", "data.csv", 1), ("read", "data.csv", 2)) == {}
    assert files(place, ("gone", "data.csv", 1), ("read", "data.csv", 2), ("made", "data.csv", 3)) == {}
    assert files(place, ("read", "data.csv", 5), ("read", "data.csv", 1), ("made", "data.csv", 0)) == {}


def test_what_was_changed_after_it_was_read_cannot_be_kept(place):
    for kind in ("made", "gone"):
        assert "it changed" in result(place, ("read", "data.csv", 1), (kind, "data.csv", 2))
    change(place / "data.csv")
    assert "changed while it ran" in result(place, ("read", "data.csv", 1))
    assert "is gone" in result(place, ("read", "none.csv", 1))


def test_what_was_moved_there_after_it_was_read_cannot_be_kept_though_its_time_is_old(place):
    (place / "other.csv").write_text("2")
    os.utime(place / "other.csv", (1, 1))
    now = time.time_ns() - START
    (place / "other.csv").rename(place / "data.csv")
    assert "changed while it ran" in result(place, ("read", "data.csv", now - 10**9))
    assert files(place, ("read", "data.csv", now + 10**9)) == {"data.csv": True}


def test_what_another_made_before_it_was_read_is_an_input_as_any_other(place):
    change(place / "data.csv")
    assert files(place, ("read", "data.csv", 2 * 10**9)) == {"data.csv": True}


def test_what_was_not_there_counts_unless_the_run_took_it_away(place):
    assert files(place, ("absent", "none.csv", 1)) == {"none.csv": False}
    assert files(place, ("absent", "data.csv", 1), ("made", "data.csv", 2)) == {"data.csv": False}
    assert files(place, ("gone", "data.csv", 1), ("absent", "data.csv", 2)) == {}
    assert files(place, ("absent", "data.csv", 1), ("read", "data.csv", 2)) == {"data.csv": True}


def test_only_regular_files_are_read(place):
    os.mkfifo(place / "pipe")
    assert files(place, ("read", "pipe", 1), ("read", "d", 1)) == {}
    assert files(place, code=["open('pipe'); open('./pipe'); open('d/')"]) == {}


def test_folders_are_taken_whole(place):
    before = result(place, ("tree", "d", 1)).files
    (place / "d" / "more").write_text("")
    assert result(place, ("tree", "d", 1)).files != before
    assert files(place, ("tree", "none", 1), ("tree", "data.csv", 1)) == {"none": False, "data.csv": True}


def test_a_large_file_is_known_by_its_time_alone(place, monkeypatch):
    monkeypatch.setattr("moorage.notebooks.cache.reads._LARGE", 0)
    state = result(place, ("read", "data.csv", 1)).files[place / "data.csv"]
    assert state == FileState("large", 1, 10**9, (place / "data.csv").stat().st_ctime_ns)
    assert FileStates().same(place / "data.csv", state)
    os.utime(place / "data.csv", (2, 2))
    assert not FileStates().same(place / "data.csv", state)


def test_loaded_modules_count_although_they_were_read_before(place):
    assert files(place, modules=[place / "data.csv"]) == {"data.csv": True}
    change(place / "data.csv")
    assert "changed while it ran" in result(place, modules=[place / "data.csv"])
    seen = [("made", "data.csv", 1), ("read", "data.csv", 2)]
    assert files(place, *seen, modules=[place / "data.csv"]) == {}


def test_programs_are_an_obstacle_unless_inputs_are_declared(place):
    seen = [("program", "make", 2), ("program", "dot", 1)]
    assert "it started dot" in result(place, *seen)
    assert files(place, *seen, trusted=True) == {}


def test_listings_are_without_what_the_run_made(place):
    found = result(place, ("listed", ".", 1), ("made", "out/x.png", 1), ("made", "y.png", 2))
    assert [each.own for each in found.listings.values()] == [("out", "y.png")]


def test_modules_are_looked_for_where_they_may_come(place):
    told = report(
        names=["json", "nosuch"], missing=["nosuch"], local=[str(place)], installed=["/site"],
        packages={str(place / "d"): ["more"]},
    )  # fmt: skip
    found = result(place, ("made", "json.py", 1), told=told).modules
    assert {str(path): {*each.names} for path, each in found.items()} == {
        str(place): {"nosuch"},
        "/site": {"nosuch"},
        str(place / "d"): {"more"},
    }


def test_childrens_modules_count_too(place):
    seen = [("name", "nosuch", 1), ("name", "json", 1), ("path", str(place), 1)]
    found = depends(
        report(names=["json"], installed=["/site"]),
        seen,
        FileStates(),
        Names(),
        directory=place,
        started_ns=START,
    )
    wanted = {str(path): {*each.names} for path, each in found.modules.items()}
    assert wanted == {str(place): {"json", "nosuch"}, "/site": {"nosuch"}}


def test_an_incomplete_report_cannot_be_kept(place):
    assert result(place, told=report(failed="it read too much")) == "it read too much"
    assert "could not be watched" in decoded("", b"")
    for answer, log in (("{", b""), ("{}", b""), (json.dumps([]), b"")):
        assert "could not be understood" in decoded(answer, log)
    whole = {"failed": "", "seen": [["read", "/x", 1]], "packages": {}}
    whole |= {name: [] for name in ("names", "missing", "local", "installed")}
    assert decoded(json.dumps(whole), b'["read", "/y", 2]\n')[1] == [("read", "/x", 1), ("read", "/y", 2)]
    assert "could not be understood" in decoded(json.dumps(whole), b'["read", "/y"')


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("pq.read_table('data.parquet')", ["data.parquet"]),
        ('read.csv("d/inner.csv")', ["d/inner.csv"]),
        ("x = 'data.csv' + \"no file\"", ["data.csv"]),
        ("%run case.py\n!cat data.csv | head", ["case.py", "data.csv"]),
        ("'https://x.org/data.csv', '*.csv', 'a b', 'x: {y}.z', '', '\\n.x'", []),
        ("%load helper", ["helper.py"]),
    ],
)
def test_names_in_the_text_that_look_like_files_are_found(place, code, names):
    (place / "helper.py").write_text("")
    assert sorted(str(path.relative_to(place)) for path in named([code], place)) == names


def test_in_other_languages_names_need_no_quotes(place):
    found = of_text(FileStates(), ["cat data.csv|sort >new.txt; cat 'd/inner.csv'"], place, START)
    there = {str(path.relative_to(place)): bool(state.digest) for path, state in found.items()}
    assert there == {"data.csv": True, "new.txt": False, "d/inner.csv": True}


def test_only_files_of_some_size_are_read_ahead(place):
    (place / "big").write_bytes(bytes(2**20 + 1))
    seen = [("read", str(place / name), 1) for name in ("big", "data.csv", "none")]
    assert sizeable([*seen, ("absent", "/x", 1)]) == [place / "big"]


def test_the_text_says_nothing_of_what_the_run_made(place):
    (place / "new.h5").write_text("")
    change(place / "new.h5")
    code = ["'data.csv', 'new.h5', 'none.h5', 'own.txt'"]
    assert files(place, ("made", "own.txt", 1), code=code) == {"data.csv": True, "none.h5": False}
    states = of_text(FileStates(), code, place, START)
    assert {path.name for path, state in states.items() if state.digest} == {"data.csv"}


@pytest.mark.parametrize("code", ["cut -d / x", "open('/')", "a = n / m", "cd //", "ls . .."])
def test_the_root_and_folders_are_no_files(place, code):
    for bare in (False, True):
        assert [path for path in named([code], place, bare=bare) if path.suffix] == []
