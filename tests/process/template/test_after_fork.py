"""What a fork puts right and how it ends, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.process.template import after_fork

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")

FORK = "import os\nif pid := os.fork(): os.waitpid(pid, 0); os._exit(0)\n"
FOLDER = str(Path(after_fork.__file__).parent)


def run(code, *args, cwd="/", **env):
    """Run code that finds the module as the template does, without the package."""
    start = f"import sys; sys.path.insert(0, {FOLDER!r}); import after_fork; del sys.path[0]\n"
    return subprocess.run(
        [sys.executable, "-c", start + code, *args],
        capture_output=True,
        check=False,
        text=True,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **env},
    )


class TestImage:
    LOOK = (
        "image = after_fork.Image()\n"
        "image.overwrite({argv!r}, {env!r})\n"
        "for name in ('cmdline', 'environ'): print(open(f'/proc/self/{{name}}', 'rb').read())"
    )

    @pytest.mark.parametrize("long", ["", "x" * 60_000], ids=["short", "long"])
    def test_others_see_exactly_these_words_and_variables(self, long):
        argv, env = [b"python", b"-m", b"", b"caf\xe9"], {b"A": b"1", b"LONG": long.encode(), b"B": b""}
        argv.append(long.encode())
        done = run(self.LOOK.format(argv=argv, env=env), MOORAGE_LAUNCH="mr-x.000001")
        cmdline, environ = done.stdout.splitlines()
        assert eval(cmdline) == b"".join(word + b"\0" for word in argv), done.stderr
        assert eval(environ) == b"".join(b"%b=%b\0" % entry for entry in env.items())

    def test_a_child_that_was_only_forked_shows_the_same(self):
        code = self.LOOK.format(argv=[b"me"], env={b"MOORAGE_LAUNCH": b"mr-x.000002"})
        code = code.replace(
            "for name",
            "import os\nif pid := os.fork(): os.waitpid(pid, 0); os._exit(0)\nos.setsid()\nfor name",
        )
        assert run(code, MOORAGE_LAUNCH="mr-x.000001").stdout.splitlines() == [
            "b'me\\x00'",
            "b'MOORAGE_LAUNCH=mr-x.000002\\x00'",
        ]

    def test_where_the_system_refuses_there_is_what_fits(self):
        code = "after_fork.PR_SET_MM_MAP = 9999\n" + self.LOOK.format(
            argv=[b"y" * 50, b"z" * 5000], env={b"MOORAGE_LAUNCH": b"mr-x.000002", b"MORE": b"1"}
        )
        done = run(code, MOORAGE_LAUNCH="mr-x.000001")
        cmdline, environ = done.stdout.splitlines()
        assert eval(cmdline).startswith(b"y" * 50 + b"\0zzz"), done.stderr
        assert b"MOORAGE_LAUNCH=mr-x.000002\0" in eval(environ)


class TestEnvironment:
    def test_it_is_exact_for_python_for_c_and_for_children(self):
        code = """
import ctypes, os, subprocess
before = after_fork.Before(dict(os.environb)); before.imported()
after_fork.surround([b"python", b"-m", b"x", b"a"], {b"MINE": b"caf\\xe9", b"PATH": b"/usr/bin:/bin"}, before)
libc = ctypes.CDLL(None); libc.getenv.restype = ctypes.c_char_p
print(sorted(os.environb.items()), libc.getenv(b"MINE"), libc.getenv(b"GONE"))
print(sorted(subprocess.run(["env"], capture_output=True).stdout.splitlines()))
print(sys.argv, sys.orig_argv, sys.path[0])
"""
        assert run(code, GONE="1").stdout.splitlines() == [
            "[(b'MINE', b'caf\\xe9'), (b'PATH', b'/usr/bin:/bin')] b'caf\\xe9' None",
            "[b'MINE=caf\\xe9', b'PATH=/usr/bin:/bin']",
            "['-m', 'a'] ['python', '-m', 'x', 'a'] /",
        ]

    def test_a_time_zone_counts_at_once(self):
        code = """
import os, time
before = after_fork.Before(dict(os.environb))
for zone in (b"Asia/Tokyo", b"America/New_York", None):
    env = {} if zone is None else {b"TZ": zone}
    after_fork.surround([b"python", b"-m", b"x"], env, before)
    print(time.strftime("%z", time.localtime(0)))
"""
        assert run(code, TZ="UTC").stdout.split() == ["+0900", "-0500", "+0000"]

    def test_what_an_import_sets_is_set_unless_the_launch_says_otherwise(self):
        code = """
import os
before = after_fork.Before(dict(os.environb))
os.environ.update(SET="by import", CHANGED="by import", THEIRS="by import")
del os.environ["GONE"]
before.imported()
print(sorted(before.changed({b"CHANGED": b"old", b"THEIRS": b"other", b"GONE": b"1"}).items()))
"""
        assert run(code, CHANGED="old", THEIRS="theirs", LEFT="1", GONE="1").stdout == (
            "[(b'CHANGED', b'by import'), (b'SET', b'by import'), (b'THEIRS', b'other')]\n"
        )

    def test_an_isolated_interpreter_puts_no_directory_first(self):
        code = f"""
import os, sys; sys.path.append({FOLDER!r}); import after_fork
first = sys.path[0]
after_fork.surround([b"python", b"-m", b"x"], {{}}, after_fork.Before(dict(os.environb)))
print(after_fork.isolated(), sys.path[0] == first)
"""
        for flag in ("-I", "-P"):
            done = subprocess.run(
                [sys.executable, flag, "-c", code], capture_output=True, check=True, text=True
            )
            assert done.stdout == "True True\n"


def test_what_forks_would_share_is_forgotten(tmp_path):
    code = """
import logging, multiprocessing, os, tempfile, threading, time
tempfile.gettempdir(); next(tempfile._get_candidate_names())
key = bytes(multiprocessing.current_process().authkey)
logging._startTime -= 1_000_000_000 if isinstance(logging._startTime, float) else 10**18
os.chdir(sys.argv[1])
if pid := os.fork(): os.waitpid(pid, 0); os._exit(0)
after_fork.forget()
print(threading.main_thread().native_id == os.getpid() == threading.get_native_id())
print(tempfile.tempdir, tempfile._name_sequence, multiprocessing.current_process().authkey != key)
print(multiprocessing.process.ORIGINAL_DIR == os.getcwd() == sys.argv[1])
print(0 <= logging.makeLogRecord({}).relativeCreated < 60_000)
"""
    done = run(code, str(tmp_path))
    assert done.stdout.splitlines() == [
        "True",
        "None None True",
        "True",
        "True",
    ], done.stderr


ENDS = {
    "file": "f = open('x', 'w'); f.write('1')",
    "layers": "import io; f = io.TextIOWrapper(io.BufferedWriter(io.FileIO('x', 'w'))); f.write('1')",
    "builtins": "import builtins; builtins.f = open('x', 'w'); builtins.f.write('1')",
    "module": """
import types
m = sys.modules['m'] = types.ModuleType('m'); m.f = open('x', 'w'); m.f.write('1')
""",
    "traceback": """
def g(): f = open('x', 'w'); f.write('1'); 1 / 0
try: g()
except Exception as e: sys.last_value = e
""",
    "atexit": "import atexit; atexit.register(lambda: open('x', 'w').write('1'))",
    "finalize": """
import weakref
class A: pass
a = A(); weakref.finalize(a, lambda: open('x', 'w').write('1'))
""",
    "del": """
import os
class A:
    def __del__(self): open('x', 'w').write(os.path.basename('a/1'))
a = A()
""",
    "cycle": """
class A:
    def __del__(self): open('x', 'w').write('1')
a = A(); a.a = a; del a
""",
    "generator": """
def g():
    try: yield
    finally: open('x', 'w').write('1')
h = g(); next(h)
""",
    "thread": """
import threading, time
def g(): time.sleep(0.1); open('x', 'w').write('1')
threading.Thread(target=g).start()
""",
}


class TestEnd:
    """Everything that an interpreter's end does to what a user made."""

    KERNEL = """
import gc, os
ours = set(sys.modules)
os._exit = lambda code, write=os.write, leave=os._exit: (write(1, b"[quickly]"), leave(code))
gc.collect(); gc.freeze(); after_fork.end_quickly(ours, "kept")
"""

    def end(self, code, cwd="/"):
        """Run code in what has become a kernel; what it printed ends with ``[quickly]`` where that is so."""
        return run(f"{self.KERNEL}{code}\n", cwd=cwd)

    @pytest.mark.parametrize(
        ("code", "status"),
        [("3", 3), ("None", 0), ("256", 0), ("-1", 255), ("'a word'", 1), ("1.5", 1), ("(1, 2)", 1)],
    )
    def test_an_exit_status_is_the_interpreters_to_give(self, code, status):
        done = self.end(f"raise SystemExit({code})")
        assert (done.returncode, done.stdout) == (status, "")

    def test_so_is_an_error(self):
        done = self.end("1 / 0")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("Traceback") == 1

    def test_an_extension_module_has_an_end_of_its_own(self):
        name = f"x{after_fork.importlib.machinery.EXTENSION_SUFFIXES[0]}"
        code = f"import types; m = types.ModuleType('m'); m.__file__ = {name!r}; sys.modules['m'] = m"
        done = self.end(code)
        assert (done.returncode, done.stdout) == (0, "")

    def test_waiting_for_threads_in_between_is_no_end(self):
        done = self.end("import threading; threading._shutdown(); print('goes on', end=' ')")
        assert (done.returncode, done.stdout) == (0, "goes on [quickly]")

    def test_a_child_that_was_forked_ends_as_ever(self):
        done = self.end("print('x', end=' ', flush=True); pid = os.fork()\nif pid: os.waitpid(pid, 0)")
        assert (done.returncode, done.stdout) == (0, "x [quickly]")

    @pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
    def test_what_was_made_comes_to_its_end(self, code, tmp_path):
        done = self.end(code, cwd=tmp_path)
        assert (tmp_path / "x").read_text() == "1", done.stderr
        assert (done.returncode, done.stdout) == (0, "[quickly]"), done.stderr

    def test_what_was_printed_is_printed(self):
        assert self.end("print('last', end=' ')").stdout == "last [quickly]"

    def test_a_full_disk_is_no_reason_to_hang_or_to_fail(self):
        done = self.end("f = open('/dev/full', 'w'); f.write('1')")
        assert (done.returncode, done.stdout) == (0, "[quickly]")

    def test_an_error_in_an_exit_function_is_told_once(self):
        done = self.end("import atexit; atexit.register(lambda: 1 / 0)")
        assert (done.returncode, done.stdout) == (0, "[quickly]")
        assert done.stderr.count("ZeroDivisionError") == 1

    def test_an_error_at_the_end_is_reported_like_any(self):
        done = self.end("class A:\n    def __del__(self): 1 / 0\na = A()")
        assert (done.returncode, "ZeroDivisionError" in done.stderr) == (0, True)
