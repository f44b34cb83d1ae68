"""What start-up code left in a template, and what changes with it. What it does: test_startup_watch.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.process.template import startup_code

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")

SCRIPT = str(Path(startup_code.__file__))
FOLDER = str(Path(SCRIPT).parent)


def test_what_is_left_behind_is_seen():
    start = f"import os, sys; sys.path.insert(0, {FOLDER!r}); import startup_code; own = os.dup(0)\n"
    for code, left in {
        "": "",
        "import _thread, time; _thread.start_new_thread(time.sleep, (9,))": "a thread",
        "file = open('/etc/passwd')": "has opened /etc/passwd",
        "sys.settrace(lambda *_: None)": "traces",
        "import signal; signal.setitimer(signal.ITIMER_REAL, 60)": "a timer",
    }.items():
        whole = f"{start}{code}\nprint(startup_code.left(own))"
        done = subprocess.run([sys.executable, "-c", whole], capture_output=True, check=True, text=True)
        assert left in done.stdout.strip(), code
        assert bool(left) == bool(done.stdout.strip())


def test_what_libffi_has_opened_of_itself_is_no_trace(tmp_path):
    library = tmp_path / "libffi.so.8.1.2"
    library.write_bytes(b"")
    code = (
        f"import os, sys; sys.path.insert(0, {FOLDER!r}); import startup_code\n"
        "file = open(sys.argv[1]); own = os.dup(0)\n"
        "print(startup_code.left(own) or file.fileno() in startup_code.of_libraries())"
    )
    command = [sys.executable, "-c", code, str(library)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "True\n"


def test_the_environment_is_that_of_the_start():
    code = "import os, sys; sys.path.insert(0, sys.argv[1]); import startup_code; os.environ['MINE'] = 'b'\n"
    code += "print(startup_code.initial() == dict(os.environb, MINE=b'a') or startup_code.initial()[b'MINE'])"
    done = subprocess.run(
        [sys.executable, "-c", code, FOLDER], capture_output=True, check=True, text=True, env={"MINE": "a"}
    )
    assert done.stdout.strip() in ("True", "b'a'")


class TestStamps:
    @pytest.fixture
    def place(self, tmp_path, monkeypatch):
        place = tmp_path / "site-packages"
        place.mkdir()
        (place / "mine.pth").write_text("/nowhere\n")
        monkeypatch.setattr(
            sys, "path", [str(place), str(tmp_path / "gone" / "site-packages"), str(tmp_path)]
        )
        return place

    @pytest.mark.parametrize(
        "change",
        [
            lambda place: os.utime(place, (1, 1)),
            lambda place: (place / "mine.pth").write_text("/nowhere/else\n"),
            lambda place: (place.parent / "sitecustomize.py").write_text(""),
            lambda place: (place.parent / "usercustomize").mkdir(),
            lambda place: (place.parent / "gone" / "site-packages").mkdir(parents=True),
            lambda place: (place.parent / "read.ini").write_text("x"),
        ],
        ids=[
            "a package",
            "a line of a .pth file",
            "sitecustomize",
            "usercustomize",
            "a place",
            "what it read",
        ],
    )
    def test_they_change_with_what_decides_about_a_start(self, place, change):
        places = startup_code.stamped([str(place.parent / "read.ini")])
        before = startup_code.stamps(places)
        assert startup_code.stamps(places) == before
        change(place)
        assert startup_code.stamps(places) != before

    def test_a_user_site_that_is_not_there_counts(self, place, monkeypatch):
        import site

        monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
        monkeypatch.setattr(site, "USER_SITE", str(place.parent / "user" / "site-packages"))
        places = startup_code.stamped([])
        assert site.USER_SITE in places
        assert str(Path(sys.prefix) / "pyvenv.cfg") in places
        before = startup_code.stamps(places)
        Path(site.USER_SITE).mkdir(parents=True)
        assert startup_code.stamps(places) != before
        assert startup_code.stamps(["a\0b"]) == [()]
