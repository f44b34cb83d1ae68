"""Names in folders."""

from __future__ import annotations

import os
import time

from moorage.notebooks.cache.names import Names


def age(folder):
    os.utime(folder, (time.time() - 60, time.time() - 60))


def test_a_listing_is_of_names_alone_and_without_the_runs_own(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    then = Names().listing(str(tmp_path), ["own.txt"])
    (tmp_path / "a.csv").write_text("2")
    for name in ("own.txt", "__pycache__", ".moorage"):
        (tmp_path / name).mkdir()
    assert Names().changed({".": then}, {}, tmp_path) == ""
    (tmp_path / "b.csv").write_text("")
    assert Names().changed({".": then}, {}, tmp_path) == "what is in . changed"


def test_a_folder_that_comes_or_goes_is_a_change(tmp_path):
    folder = tmp_path / "d"
    for step in (folder.mkdir, folder.rmdir):
        then = Names().listing(str(folder), ())
        step()
        assert "what is in d" in Names().changed({"d": then}, {}, tmp_path)


def test_only_what_may_be_one_of_the_modules_counts(tmp_path):
    (tmp_path / "json.txt").write_text("")
    then = Names().modules(str(tmp_path), {"json", "helper", "more"})
    assert then.found == ()
    for name, module in (("json.csv", False), ("other.py", False), ("json.py", True), ("helper", True)):
        (tmp_path / name).write_text("")
        assert (Names().changed({}, {".": then}, tmp_path) != "") is module
        (tmp_path / name).unlink()
    (tmp_path / "more.cpython-311-x86_64-linux-gnu.so").write_text("")
    assert "a module in ." in Names().changed({}, {".": then}, tmp_path)


def test_a_folder_is_listed_again_when_its_time_moves(tmp_path):
    names = Names()
    then = names.listing(str(tmp_path), ())
    age(tmp_path)
    assert names.listing(str(tmp_path), ()) == then
    (tmp_path / "a").write_text("")
    assert names.listing(str(tmp_path), ()) != then
