"""What is seen behind walls: the system, to read; what is the visitor's own; nothing of others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from moorage.process.walls.probe import given
from process.walls.behind import behind, private_folder, told, walls_here

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or bool(given().why), reason=f"no walls here: {given().why}"
)
REFUSED = """
def refused(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0
"""


def test_its_own_files_are_copied_and_others_are_not_there() -> None:
    with private_folder() as private:
        work = private / "work"
        work.mkdir()
        (work / "a.txt").write_text("mine")
        (work / "run").write_text("#!/bin/sh\nexit 0\n")
        (work / "run").chmod(0o755)
        (work / "deep").mkdir(mode=0o750)
        (work / "link").symlink_to("/etc/hostname")
        os.mkfifo(work / "pipe")
        (private / "token").write_text("t")
        (private / "record.json").write_text("{}")
        walls = walls_here(private, copied=["work", "token"], hidden=[str(private.parents[1])])
        found = told(
            walls,
            REFUSED
            + """
print(json.dumps({
    "here": sorted(os.listdir(".")), "above": os.listdir(".."), "state": os.listdir("../.."),
    "work": {name: [os.lstat("work/" + name).st_mode & 0o777, os.lstat("work/" + name).st_uid == os.getuid()]
             for name in sorted(os.listdir("work"))},
    "text": open("work/a.txt").read(), "link": os.readlink("work/link"),
    "run": os.system("./work/run"),
    "write": refused(lambda: open("work/a.txt", "w").write("changed")),
}))
""",
        )
        assert (work / "a.txt").read_text() == "mine"
        assert sorted(path.name for path in private.iterdir()) == ["record.json", "token", "work"]
    assert found["here"] == ["token", "work"]
    assert found["above"] == ["own"]
    assert found["state"] == ["servers"]
    assert found["work"] == {
        "a.txt": [0o644, True], "deep": [0o750, True], "link": [0o777, True], "run": [0o755, True],
    }  # fmt: skip
    assert (found["text"], found["link"], found["run"], found["write"]) == ("mine", "/etc/hostname", 0, 0)


def test_the_system_is_there_to_read() -> None:
    with private_folder() as private:
        found = told(
            walls_here(private),
            REFUSED
            + """
print(json.dumps({
    "root": sorted(os.listdir("/")),
    "touched": {path: refused(lambda: open(path + "/x", "w")) for path in
                ("/", "/usr", "/etc", "/proc/sys/kernel", sys.prefix, sys.base_prefix) },
    "own": {path: refused(lambda: open(path + "/x", "w")) for path in ("/tmp", "/var/tmp", "/dev/shm", ".")},
    "hidden": {path: refused(lambda: os.listdir(path)) for path in ("/run", "/home", "/mnt")},
    "devices": sorted(os.listdir("/dev")), "null": refused(lambda: open("/dev/null", "w").write("x")),
    "terminal": refused(lambda: os.openpty()), "disks": refused(lambda: os.listdir("/dev/block")),
    "power": refused(lambda: open("/proc/sysrq-trigger", "w").write("h")),
    "processors": os.cpu_count(),
}))
""",
        )
    assert set(found["root"]) >= {"bin", "dev", "etc", "proc", "tmp", "usr"}
    assert all(found["touched"].values())
    assert not any(found["own"].values())
    assert set(found["hidden"].values()) == {2}
    assert "sda" not in found["devices"]
    assert {"null", "zero", "urandom", "pts", "ptmx", "shm", "fd"} <= {*found["devices"]}
    assert (found["null"], found["terminal"], found["disks"]) == (0, 0, 2)
    assert found["power"] in (1, 2, 13, 30)
    assert found["processors"] == os.cpu_count()


def test_the_share_has_an_end_for_all_folders_together() -> None:
    with private_folder() as private:
        before = os.statvfs(private).f_bavail
        written = told(
            walls_here(private),
            """
written = 0
for path in ("/tmp/a", "/var/tmp/b", "/dev/shm/c", "d"):
    with open(path, "wb", 0) as file:
        try:
            while True:
                written += file.write(bytes(1 << 20))
        except OSError as error:
            assert error.errno == 28, error
print(json.dumps(written))
""",
        )
        assert os.statvfs(private).f_bavail > before - (8 << 20) // 4096
    assert 12 << 20 < written <= 16 << 20


def test_so_has_the_number_of_files() -> None:
    with private_folder() as private:
        made = told(
            walls_here(private),
            """
made = 0
try:
    while made < 100000:
        open(f"/tmp/{made}", "w").close()
        made += 1
except OSError as error:
    assert error.errno == 28, error
print(json.dumps(made))
""",
        )
    assert 500 < made < 1100


def test_what_does_not_fit_is_refused() -> None:
    with private_folder() as private:
        (private / "work").mkdir()
        (private / "work" / "large").write_bytes(bytes(20 << 20))
        said, _ = behind(walls_here(private, copied=["work"]), "pass")
    assert said.startswith("refused walls/files")
    assert "[Errno 28]" in said


def test_more_can_be_shown_and_what_is_below_it_hidden() -> None:
    with private_folder() as private:
        state = private.parents[1]
        state.chmod(0o755)
        shelf = state / "shelf"
        shelf.mkdir()
        (shelf / "book").write_text("to read")
        walls = walls_here(private, readable=[str(state), str(shelf)], hidden=[str(state / "servers")])
        found = told(
            walls,
            REFUSED
            + f"""
state = {str(state)!r}
print(json.dumps({{
    "book": open(state + "/shelf/book").read(), "write": refused(lambda: open(state + "/shelf/book", "a")),
    "servers": os.listdir(state + "/servers"), "other": refused(lambda: os.listdir(state + "/servers/other")),
}}))
""",
        )
    assert found.pop("write") in (13, 30)
    assert found == {"book": "to read", "servers": ["own"], "other": 2}


def test_files_of_the_system_are_replaced() -> None:
    with private_folder() as private:
        files = {"/etc/passwd": "visitor:x:7:7::/:/bin/sh\n", "/etc/no-such-file": "x"}
        found = told(
            walls_here(private, files=files),
            """
print(json.dumps([open("/etc/passwd").read(), os.path.exists("/etc/no-such-file"), os.path.exists("/.made")]))
""",
        )
    assert found == ["visitor:x:7:7::/:/bin/sh\n", False, False]


def test_nothing_stays_mounted_outside() -> None:
    before = Path("/proc/self/mountinfo").read_text().count("\n")
    with private_folder() as private:
        behind(walls_here(private), "pass")
    assert Path("/proc/self/mountinfo").read_text().count("\n") == before
