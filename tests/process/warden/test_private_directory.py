"""The private directory."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from moorage.process.warden import private_directory


@pytest.fixture
def base(monkeypatch, tmp_path):
    monkeypatch.setattr(private_directory, "places", lambda: [(str(tmp_path), "")])
    return tmp_path


def test_a_berth_is_private_and_goes_with_all_it_holds(base):
    made = private_directory.make()
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
    own, living, dead = private_directory.make(), private_directory.make(), private_directory.make()
    os.close(dead.lock)  # as the end of its process does
    assert private_directory.sweep(own) == [dead.name]
    assert sorted(path.name for path in base.iterdir()) == sorted([own.name, living.name])
    own.remove()
    living.remove()


def test_a_dead_one_that_is_held_is_not_swept(base):
    own, dead = private_directory.make(), private_directory.make()
    assert private_directory.hold(dead.path) == -1  # its warden lives
    os.close(dead.lock)
    held = private_directory.hold(dead.path)
    assert private_directory.sweep(own) == []
    os.close(held)
    assert private_directory.sweep(own) == [dead.name]
    assert private_directory.hold(dead.path) == -1
    own.remove()


def test_a_directory_that_is_just_being_made_is_not_swept(base):
    own = private_directory.make()
    young, old, stranger = base / "mr-aaaaaaaa", base / "mr-bbbbbbbb", base / "mr-something-else"
    for path in (young, old, stranger):
        path.mkdir()
    os.utime(old, (0, 0))
    os.utime(stranger, (0, 0))
    assert private_directory.sweep(own) == []
    assert sorted(path.name for path in base.iterdir()) == sorted([own.name, young.name, stranger.name])
    own.remove()


def test_what_only_looks_like_a_berth_is_not_deleted(base):
    own = private_directory.make()
    file = base / "mr-checkout" / "src" / "precious"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    os.utime(base / "mr-checkout", (0, 0))
    assert private_directory.sweep(own) == []
    assert file.exists()
    own.remove()


def test_a_berth_whose_removal_was_cut_short_is_swept(base, monkeypatch):
    own, dead = private_directory.make(), private_directory.make()
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
            private_directory.remove(dead.path)
    os.close(dead.lock)
    os.utime(dead.path, (0, 0))
    assert private_directory.sweep(own) == [dead.name]
    assert not Path(dead.path).exists()
    own.remove()


def test_a_link_in_the_place_of_a_directory_is_not_followed(base, tmp_path_factory):
    own = private_directory.make()
    target = tmp_path_factory.mktemp("target")
    (target / ".lock").touch()
    (base / "mr-cccccccc").symlink_to(target)
    assert private_directory.sweep(own) == []
    assert (target / ".lock").exists()
    own.remove()


@pytest.mark.parametrize("value", ["", "/no/such", "/etc/passwd", "relative", "/tmp/" + "x" * 80, "a\0b"])
def test_an_unusable_runtime_directory_is_passed_over(environ, value):
    environ["XDG_RUNTIME_DIR"] = value
    assert private_directory.bases() == ["/tmp"]


@pytest.fixture
def environ(monkeypatch):
    """The environment, without a say in where files go."""
    environ = {"PATH": "/bin"}
    monkeypatch.setattr(os, "environ", environ)
    return environ


@pytest.fixture
def short():
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as name:
        yield Path(name)


def test_a_runtime_directory_is_used_if_it_is_ours_alone(environ, short):
    environ["XDG_RUNTIME_DIR"] = str(short)
    assert private_directory.bases() == [str(short), "/tmp"]


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777, 0o1777, 0o600])
def test_one_of_another_mode_is_not(environ, short, mode):
    short.chmod(mode)
    environ["XDG_RUNTIME_DIR"] = str(short)
    assert private_directory.places()[0] == (str(short), f"its mode is {mode:04o} and not 0700")
    assert private_directory.bases() == ["/tmp"]


def test_a_link_to_one_is_not(environ, short):
    (short / "real").mkdir(mode=0o700)
    (short / "link").symlink_to(short / "real")
    environ["XDG_RUNTIME_DIR"] = str(short / "link")
    assert private_directory.places()[0] == (str(short / "link"), "it is a symbolic link")


def test_one_of_another_user_is_not(environ, short, monkeypatch):
    environ["XDG_RUNTIME_DIR"] = str(short)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert private_directory.places()[0] == (str(short), "it belongs to another user")


def test_other_places_are_tried_in_turn(environ, short, monkeypatch):
    for name in ("tmp", "jupyter"):
        (short / name).mkdir()
    monkeypatch.setattr(private_directory, "TMP", str(short / "gone"))
    environ |= {"TMPDIR": str(short / "tmp"), "JUPYTER_RUNTIME_DIR": str(short / "jupyter")}
    made = private_directory.make()
    assert Path(made.path).parent == short / "tmp"
    (short / "tmp").chmod(0o777)
    other = private_directory.make()
    assert Path(other.path).parent == short / "jupyter"
    (short / "tmp").chmod(0o700)
    for each in (made, other):
        each.remove()


def test_a_full_file_system_is_passed_over_and_nothing_stays_there(environ, short, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    environ["XDG_RUNTIME_DIR"] = str(short)
    monkeypatch.setattr(private_directory, "TMP", str(short / "gone"))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        private_directory.NoPlace, match=f"{short}: No space left on device; {short}/gone: No such file"
    ):
        private_directory.make()
    assert list(short.iterdir()) == []


def test_a_file_system_that_reserves_nothing_will_do(environ, short, monkeypatch):
    def unknown(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    environ["XDG_RUNTIME_DIR"] = str(short)
    monkeypatch.setattr(os, "posix_fallocate", unknown)
    made = private_directory.make()
    assert Path(made.path).parent == short
    made.remove()


def test_what_is_no_path_is_no_obstacle(tmp_path):
    """The warden would tidy up nothing that comes after it."""
    private_directory.remove("a\0b")
    private_directory.remove(str(tmp_path) + "/a\0b")
    (tmp_path / "c").touch()
    private_directory.remove(str(tmp_path / "c"))
    assert not (tmp_path / "c").exists()
