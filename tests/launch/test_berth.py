"""The private directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from moorage.launch import berth


@pytest.fixture
def base(monkeypatch, tmp_path):
    monkeypatch.setattr(berth, "bases", lambda: [str(tmp_path)])
    return tmp_path


def test_a_berth_is_private_and_goes_with_all_it_holds(base):
    made = berth.make()
    assert stat.S_IMODE(Path(made.path).stat().st_mode) == 0o700
    outside = base / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (Path(made.path) / "link").symlink_to(outside)
    (Path(made.path) / "a" / "b").mkdir(parents=True)
    (Path(made.path) / "a").chmod(0)
    made.remove()
    assert [path.name for path in base.iterdir()] == ["outside"]
    assert (outside / "precious").exists()


def test_the_living_are_not_swept_and_the_dead_are(base):
    own, living, dead = berth.make(), berth.make(), berth.make()
    os.close(dead.lock)  # as the end of its process does
    assert berth.sweep(own) == [dead.name]
    assert sorted(path.name for path in base.iterdir()) == sorted([own.name, living.name])
    own.remove()
    living.remove()


def test_a_dead_one_that_is_held_is_not_swept(base):
    own, dead = berth.make(), berth.make()
    assert berth.hold(dead.path) == -1  # its warden lives
    os.close(dead.lock)
    held = berth.hold(dead.path)
    assert berth.sweep(own) == []
    os.close(held)
    assert berth.sweep(own) == [dead.name]
    assert berth.hold(dead.path) == -1
    own.remove()


def test_a_directory_that_is_just_being_made_is_not_swept(base):
    own = berth.make()
    young, old, stranger = base / "mr-aaaaaaaa", base / "mr-bbbbbbbb", base / "mr-something-else"
    for path in (young, old, stranger):
        path.mkdir()
    os.utime(old, (0, 0))
    os.utime(stranger, (0, 0))
    assert berth.sweep(own) == []
    assert sorted(path.name for path in base.iterdir()) == sorted([own.name, young.name, stranger.name])
    own.remove()


def test_what_only_looks_like_a_berth_is_not_deleted(base):
    own = berth.make()
    file = base / "mr-checkout" / "src" / "precious"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    os.utime(base / "mr-checkout", (0, 0))
    assert berth.sweep(own) == []
    assert file.exists()
    own.remove()


def test_a_berth_whose_removal_was_cut_short_is_swept(base, monkeypatch):
    own, dead = berth.make(), berth.make()
    for name in ("a", "b", "zz"):
        (Path(dead.path) / name).touch()
    removed, unlink = [], os.unlink

    def cut_short(path, **within):
        if len(removed) == 3:
            raise KeyboardInterrupt
        removed.append(path)
        unlink(path, **within)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", cut_short)
        with pytest.raises(KeyboardInterrupt):
            berth.remove(dead.path)
    os.close(dead.lock)
    os.utime(dead.path, (0, 0))
    assert berth.sweep(own) == [dead.name]
    assert not Path(dead.path).exists()
    own.remove()


def test_a_link_in_the_place_of_a_directory_is_not_followed(base, tmp_path_factory):
    own = berth.make()
    target = tmp_path_factory.mktemp("target")
    (target / ".lock").touch()
    (base / "mr-cccccccc").symlink_to(target)
    assert berth.sweep(own) == []
    assert (target / ".lock").exists()
    own.remove()


@pytest.mark.parametrize("value", ["", "/no/such", "/etc/passwd", "relative", "/tmp/" + "x" * 80])
def test_an_unusable_runtime_directory_is_passed_over(monkeypatch, value):
    monkeypatch.setenv("XDG_RUNTIME_DIR", value)
    assert berth.bases() == ["/tmp"]


def test_no_place_to_write_is_an_error(monkeypatch):
    monkeypatch.setattr(berth, "bases", lambda: ["/no/such/base"])
    with pytest.raises(OSError):
        berth.make()
