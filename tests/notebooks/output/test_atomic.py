"""Files appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap

import pytest

from moorage.errors import OutputError
from moorage.notebooks.output.atomic import copy_whole, sweep, temporary_name, whole_file, write_whole
from recording_guard import RecordingGuard

SUDO = os.geteuid() == 0 and shutil.which("unshare") is not None
in_namespace = pytest.mark.skipif(not SUDO, reason="needs root and unshare to mount a file system of its own")


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_and_makes_parents(tmp_path):
    write_whole(tmp_path / "a" / "b" / "x.ipynb", b"{}")
    assert (tmp_path / "a" / "b" / "x.ipynb").read_bytes() == b"{}"
    assert names(tmp_path / "a" / "b") == ["x.ipynb"]


def test_guard_is_told_before_the_file_exists_and_unguard_after_it_is_gone(tmp_path):
    guard = RecordingGuard()
    write_whole(tmp_path / "x", b"1", guard=guard)
    first, second = guard.calls
    assert (first.what, second.what, first.exists, second.exists) == ("guard", "unguard", False, False)
    temporary = first.path
    assert temporary == second.path
    assert temporary.parent == tmp_path
    assert temporary.name.startswith(f".x.moorage-{os.getpid()}-")


def test_a_new_file_obeys_the_umask_and_an_old_one_keeps_its_mode(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "new", b"")
        write_whole(tmp_path / "secret", b"", mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    (tmp_path / "new").chmod(0o604)
    write_whole(tmp_path / "new", b"2")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_leaves_a_file_to_its_owner(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    os.chown(tmp_path / "x", 12345, 12345)
    write_whole(tmp_path / "x", b"2")
    assert (tmp_path / "x").stat().st_uid == 12345


@pytest.mark.skipif(sys.platform != "linux", reason="folders are held on Linux only")
def test_a_link_in_the_place_of_a_folder_that_was_looked_at_leads_nothing_out(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "out" / "sub"
    outside.mkdir()
    folder.mkdir(parents=True)

    def swap():
        folder.rename(tmp_path / "out" / "moved")
        folder.symlink_to(outside)

    with whole_file(folder / "x", follow=False) as file:  # it is swapped while the file is written
        file.write(b"1")
        swap()
    assert (tmp_path / "out" / "moved" / "x").read_bytes() == b"1"
    for path in (folder / "x", folder / "below" / "x"):  # it was swapped after the look
        with pytest.raises(OutputError, match="Something that is no file has just been put there"):
            write_whole(path, b"1", follow=False)
    assert names(outside) == []
    write_whole(tmp_path / "out" / "a" / "b" / "x", b"2", follow=False)
    assert names(tmp_path / "out" / "a" / "b") == ["x"]
    with pytest.raises(OutputError, match="A file stands where a directory is needed"):
        write_whole(tmp_path / "out" / "moved" / "x" / "y", b"2", follow=False)


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real/x")
    (tmp_path / "dangling").symlink_to("real/y")
    write_whole(tmp_path / "link", b"new")
    write_whole(tmp_path / "dangling", b"also")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "x").read_bytes() == b"new"
    assert (tmp_path / "real" / "y").read_bytes() == b"also"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(tmp_path / "pipe", b"hello")
        assert os.read(reader, 100) == b"hello"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_name_of_255_bytes_is_no_problem(tmp_path):
    name = "ü" * 127
    write_whole(tmp_path / name, b"x")
    assert names(tmp_path) == [name]
    with pytest.raises(OutputError, match="too long"):
        write_whole(tmp_path / ("x" * 256), b"x")


def test_a_directory_in_the_way(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError, match="directory is in the way") as caught:
        write_whole(tmp_path / "x", b"")
    assert str(tmp_path / "x") in caught.value.what
    assert caught.value.do
    assert names(tmp_path) == ["x"]


def test_a_file_in_the_way_of_a_directory(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(OutputError, match="file stands where a directory"):
        write_whole(tmp_path / "x" / "y", b"")


def test_an_exception_in_the_block_leaves_the_old_file(tmp_path):
    def interrupted():
        with whole_file(tmp_path / "x") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_copy_is_a_copy_with_the_sources_mode(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "a").chmod(0o755)
    copy_whole(tmp_path / "a", tmp_path / "out" / "b")
    assert (tmp_path / "out" / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert (tmp_path / "out" / "b").stat().st_ino != (tmp_path / "a").stat().st_ino
    assert stat.S_IMODE((tmp_path / "out" / "b").stat().st_mode) & 0o700 == 0o700
    with pytest.raises(OutputError, match="cannot copy"):
        copy_whole(tmp_path / "missing", tmp_path / "c")


def run_python(code, *, prefix=(), **options):
    return subprocess.run(
        [*prefix, sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@in_namespace
def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path):
    code = f"""
        import os, subprocess
        from pathlib import Path
        from moorage.errors import OutputError
        from moorage.notebooks.output.atomic import write_whole
        place = Path({str(tmp_path)!r})
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=True)
        write_whole(place / "x", b"old")
        try:
            write_whole(place / "x", b"n" * 200_000)
        except OutputError as error:
            print(error)
        print((place / "x").read_bytes(), os.listdir(place))
    """
    done = run_python(code, prefix=["unshare", "-m", "--propagation", "private"])
    if "mount" in done.stderr:
        pytest.skip(f"no mount here: {done.stderr.strip()[-200:]}")
    assert "disk is full" in done.stdout, done.stderr
    assert "b'old' ['x']" in done.stdout


@in_namespace
def test_a_read_only_place_is_told(tmp_path):
    code = f"""
        import subprocess
        from pathlib import Path
        from moorage.errors import OutputError
        from moorage.notebooks.output.atomic import write_whole
        place = Path({str(tmp_path)!r})
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", place], check=True)
        for target in (place / "x", place / "a" / "x"):
            try:
                write_whole(target, b"")
            except OutputError as error:
                print(error)
    """
    done = run_python(code, prefix=["unshare", "-m", "--propagation", "private"])
    if "mount" in done.stderr:
        pytest.skip(f"no mount here: {done.stderr.strip()[-200:]}")
    assert done.stdout.count("read-only") == 2, done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write_whole(tmp_path / "x", b"")


def test_sigkill_leaves_the_old_file_and_sweep_collects_the_rest(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    code = f"""
        import os, signal
        from pathlib import Path
        from moorage.notebooks.output.atomic import whole_file
        with whole_file(Path({str(tmp_path / "x")!r})) as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_python(code).returncode == -signal.SIGKILL
    assert (tmp_path / "x").read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    assert sweep(tmp_path) == 1
    assert names(tmp_path) == ["x"]


def test_sweep_leaves_the_living_and_the_foreign_alone(tmp_path):
    mine = tmp_path / temporary_name("x")
    mine.write_bytes(b"")
    foreign = tmp_path / f".x.moorage-{2**22 - 1}-ffffffffffff"
    foreign.write_bytes(b"")
    (tmp_path / ".x.moorage-notes").write_bytes(b"")
    assert sweep(tmp_path) == 0
    os.utime(foreign, (0, 0))
    assert sweep(tmp_path) == 1
    assert mine.exists()
    assert sweep(tmp_path / "missing") == 0


def test_a_pipe_that_nothing_reads_is_told_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="pipe that nothing reads"):
        write_whole(tmp_path / "pipe", b"x")
