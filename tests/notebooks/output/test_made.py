"""The record of what moorage wrote: true after any moment, and believed no further than its digests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from moorage.errors import OutputError
from moorage.notebooks.output.atomic import write_whole
from moorage.notebooks.output.made import FILE_NAME, Made


def put(made, name, data):
    """Write a file as the writer does: the record first."""
    write_whole(made.folder / name, data, before=lambda path: made.add(name, path))


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path)


def test_what_was_written_is_known_also_to_another_run(made, tmp_path):
    put(made, "a/x.ipynb", b"1")
    for each in (made, Made(tmp_path)):
        assert each.names() == {"a/x.ipynb"}
        assert each.holds("a/x.ipynb", tmp_path / "a/x.ipynb")
        assert not each.holds("a/y.ipynb", tmp_path / "a/x.ipynb")


def test_a_file_changed_by_hand_is_not_held_and_one_with_the_same_bytes_is(made, tmp_path):
    put(made, "x", b"123")
    path = tmp_path / "x"
    path.write_bytes(b"124")
    assert not made.holds("x", path)
    path.write_bytes(b"123")
    os.utime(path, (1, 1))
    assert made.holds("x", path)
    path.unlink()
    assert not made.holds("x", path)
    path.symlink_to(tmp_path / "y")
    assert not made.holds("x", path)


def test_names_that_are_no_text_are_kept(made, tmp_path):
    put(made, "\udcff", b"1")
    assert Made(tmp_path).holds("\udcff", tmp_path / "\udcff")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_between_record_and_file_leaves_a_file_that_is_known(tmp_path, moment):
    made = Made(tmp_path)
    put(made, "x", b"old")
    code = f"""
        import os, signal
        from pathlib import Path
        from moorage.notebooks.output.atomic import write_whole
        from moorage.notebooks.output.made import Made
        made = Made(Path({os.fspath(tmp_path)!r}))
        def before(path):
            made.add("x", path)
            if {moment!r} == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        write_whole(made.folder / "x", b"new", before=before)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "x").read_bytes() == (b"old" if moment == "before" else b"new")
    assert Made(tmp_path).holds("x", tmp_path / "x")


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"{}",
        b"[" * 100_000,
        b'["x"]',
        b'["x", "0", 1, true]',
        b'[1, "0", 1, 1]',
        b'["x", null, 1, 1]',
    ],
)
def test_what_makes_no_sense_is_passed_over(made, tmp_path, line):
    (tmp_path / FILE_NAME).write_bytes(line + b"\n")
    assert made.names() == set()
    put(made, "x", b"1")
    assert Made(tmp_path).holds("x", tmp_path / "x")


def test_a_line_that_a_full_disk_cut_off_spoils_no_other(made, tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b'["y", "abc')
    put(made, "x", b"1")
    assert Made(tmp_path).names() == {"x"}


def test_a_record_that_is_a_link_or_a_pipe_is_not_followed_and_not_waited_for(made, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / FILE_NAME).symlink_to(precious)
    assert made.names() == set()
    with pytest.raises(OSError, match="link"):
        made.add("precious", precious)
    assert precious.read_text() == "mine"
    (tmp_path / FILE_NAME).unlink()
    os.mkfifo(tmp_path / FILE_NAME)
    assert made.names() == set()
    with pytest.raises(PermissionError):
        made.add("precious", precious)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_the_record_of_another_user_does_not_count(made, tmp_path):
    put(made, "x", b"1")
    os.chown(tmp_path / FILE_NAME, 12345, 12345)
    os.utime(tmp_path / FILE_NAME, (5, 5))
    assert Made(tmp_path).names() == set()
    os.chown(tmp_path, 12345, 12345)
    assert Made(tmp_path).names() == {"x"}


def test_a_long_record_is_shortened_and_stays_true(made, tmp_path):
    for number in range(40):
        put(made, "x", str(number).encode())
        put(made, f"y{number}", b"1")
    lines = (tmp_path / FILE_NAME).read_text().splitlines()
    assert len([line for line in lines if json.loads(line)[0] == "x"]) <= 40
    for number in range(700):
        put(made, "x", str(number).encode())
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) < 2 * 8 * 41 + 2
    again = Made(tmp_path)
    assert again.holds("x", tmp_path / "x")
    assert again.holds("y0", tmp_path / "y0")


def test_a_link_that_is_put_in_the_place_of_a_long_record_is_not_written_through(made, tmp_path, monkeypatch):
    for number in range(17):
        put(made, "x", str(number).encode())
    precious = tmp_path / "precious"
    precious.write_text("mine")
    read = Made._read

    def swap(record):
        read(record)
        (tmp_path / FILE_NAME).unlink()
        (tmp_path / FILE_NAME).symlink_to(precious)

    monkeypatch.setattr(Made, "_read", swap)
    with pytest.raises(OutputError, match="has just been put there"):
        made._shorten()
    assert precious.read_text() == "mine"


def test_two_runs_at_once_lose_no_line(tmp_path):
    code = """
        import sys
        from pathlib import Path
        from moorage.notebooks.output.atomic import write_whole
        from moorage.notebooks.output.made import Made
        folder, run = Path(sys.argv[1]), sys.argv[2]
        made = Made(folder)
        for number in range(100):
            for name in (f"{run}{number}", "shared"):
                write_whole(folder / name, run.encode(), before=lambda path: made.add(name, path))
    """
    runs = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), tmp_path, name]) for name in ("a", "b")
    ]
    assert [run.wait() for run in runs] == [0, 0]
    made = Made(tmp_path)
    assert len(made.names()) == 201
    assert all(made.holds(name, tmp_path / name) for name in made.names())


def test_only_what_was_appended_is_read_and_a_rewritten_record_as_a_whole(made, tmp_path):
    reader = Made(tmp_path)
    for number in range(5):
        put(made, f"x{number}", b"1")
        assert reader.names() == {f"x{each}" for each in range(number + 1)}
    lines = (tmp_path / FILE_NAME).read_bytes().splitlines(keepends=True)
    with (tmp_path / FILE_NAME).open("r+b") as file:  # the same inode, other lines
        file.write(b"".join(line.replace(b"x", b"y") for line in lines))
        file.write(lines[0].replace(b"x", b"z"))
    assert reader.names() == {*(f"y{each}" for each in range(5)), "z0"}
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(lines[0][:9])
    assert len(reader.names()) == 6
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(lines[0][9:])
    assert "x0" in reader.names()


def test_a_file_that_another_run_has_just_replaced_is_known(made, tmp_path, monkeypatch):
    put(made, "x", b"1")
    other, look = Made(tmp_path), made._is_true

    def late(name, path):
        monkeypatch.setattr(made, "_is_true", look)
        put(other, "x", b"12")  # between the look at the record and the one at the file
        return look(name, path)

    monkeypatch.setattr(made, "_is_true", late)
    assert made.holds("x", tmp_path / "x")
