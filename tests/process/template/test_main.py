"""The template process by itself: what it reads, what it forks, how it ends. See also test_template_link."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from moorage.process.template import main
from moorage.process.template.key import TemplateKey, entry
from moorage.process.warden.process import payload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")

SCRIPT = str(Path(main.__file__))
FORKING = str(Path(__file__).parents[1] / "files" / "forking")
REAPER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
template = subprocess.Popen(sys.argv[1:], stdin=0)
code = template.wait()
os.close(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        sys.exit(code & 0xFF)
"""


class Running:
    """A template under a subreaper, as it has one in its warden."""

    def __init__(self, env=None) -> None:
        key = TemplateKey((sys.executable, "-Xfrozen_modules=off"), (), "/")
        env = {**os.environ, "PYTHONPATH": FORKING, "ONLY": "the template's", **(env or {})}
        argv, surroundings = entry(key, env)
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", REAPER, *argv],
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=surroundings,
            )

    def ask(self, *, fds=4, **spec):
        """Ask for a kernel; returns what it reports, and what it says."""
        whole = payload(json.dumps(spec).encode())
        said, stdout = os.pipe()
        hear, report = os.pipe()
        socket.send_fds(self.channel, [b"fork"], [whole, stdout, stdout, report][:fds])
        for fd in (whole, stdout, report):
            os.close(fd)
        with os.fdopen(hear, "rb") as file, os.fdopen(said, "rb") as output:
            return file.read(), output.read()

    def end(self):
        self.channel.close()
        if not self.process.stdout.closed:
            self.ended = self.process.stdout.read(), self.process.wait(20)
            self.process.stdout.close()
        return self.ended


@pytest.fixture
def running():
    started = []

    def start(**env):
        started.append(Running(env))
        return started[-1]

    yield start
    for one in started:
        one.end()


DESCRIPTORS = """
import json, os
links = {number: f"/proc/self/fd/{number}" for number in sorted(os.listdir("/proc/self/fd"), key=int)}
print(json.dumps({number: os.readlink(link) for number, link in links.items() if os.path.exists(link)}))
"""


def wanted(code, **rest):
    argv = [sys.executable, "-m", "ipykernel_launcher", code]
    return {"argv": argv, "cwd": "/", "env": {"MINE": "1"}, **rest}


def test_it_forks_what_it_is_asked_for_and_ends_with_its_socket(running):
    one = running()
    for number in range(3):
        report, said = one.ask(**wanted(f"import os; print({number}, os.getpid())"))
        word, pid = report.split()
        assert (word, said.decode()) == (b"pid", f"{number} {pid.decode()}\n")
    assert one.end() == (b"", 0)


def test_a_kernel_has_no_descriptor_but_its_own(running):
    told = json.loads(running().ask(**wanted(DESCRIPTORS))[1])
    libffi = [number for number, where in told.items() if "libffi" in where]  # ctypes has one in some systems
    assert [*told] == ["0", "1", "2", *libffi]
    assert told["0"] == "/dev/null"


def test_a_kernel_has_what_libffi_maps_from(running, tmp_path):
    library = tmp_path / "libffi.so.8"
    library.write_bytes(b"\x7fELF")
    start = f"import os; os.open({str(library)!r}, os.O_RDONLY)"
    (tmp_path / "sitecustomize.py").write_text(start)
    one = running(PYTHONPATH=f"{FORKING}{os.pathsep}{tmp_path}")
    for _ in range(2):
        report, said = one.ask(**wanted(DESCRIPTORS))
        assert report.startswith(b"pid ")
        assert str(library) in json.loads(said).values()


def test_what_cannot_be_is_reported(running):
    one = running()
    assert one.ask(**wanted("", cwd="/no/such"))[0] == b"chdir 2"
    assert one.ask(**wanted("a\0b"))[0] == b"template 22"
    assert one.ask(**wanted("", env={"A=B": "1"}))[0] == b"template 22"
    assert one.ask(argv=["python"], cwd="/", env={})[0] == b"template 22"
    assert one.ask(nothing=1)[0] == b"template 22"
    assert one.ask(**wanted("print(1)"))[1] == b"1\n"


def test_a_packet_without_its_descriptors_costs_one_spare(running):
    one = running()
    assert one.ask(fds=2, **wanted(""))[0] == b""
    assert one.ask(**wanted("print(1)"))[1] == b"1\n"


def test_as_many_spares_as_launches_wait_and_each_takes_one(running):
    one = running()
    codes = [f"print({number})" for number in range(3 * main.MOST_SPARES)]
    with ThreadPoolExecutor(len(codes)) as pool:
        broken = pool.submit(one.ask, fds=2, **wanted(""))
        told = list(pool.map(lambda code: one.ask(**wanted(code)), codes))
    assert broken.result()[0] == b""
    assert [printed for _, printed in told] == [b"%d\n" % number for number in range(len(codes))]
    assert len({pid for pid, _ in told}) == len(codes)
    assert one.ask(**wanted("print('next')"))[1] == b"next\n"
    assert one.end() == (b"", 0)


def test_a_kernels_exit_is_its_own(running):
    one = running()
    one.ask(**wanted("raise SystemExit(3)"))
    one.ask(**wanted("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert b"ZeroDivisionError" in one.ask(**wanted("1 / 0"))[1]
    assert one.ask(**wanted("raise SystemExit('a word')"))[1] == b"a word\n"
    assert one.end() == (b"", 0)


def test_what_imports_print_is_not_every_kernels_to_print(running, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('from an import')")
    one = running(PYTHONPATH=f"{tmp_path}:{FORKING}")
    assert [one.ask(**wanted("print(1)"))[1] for _ in range(2)] == [b"1\n", b"1\n"]
    printed, code = one.end()
    assert (code, printed.count(b"from an import")) == (0, 2)  # the subreaper's own and the template's


def test_kernels_collect_garbage_unless_somebody_turned_that_off(running, tmp_path):
    look = wanted("import gc; print(gc.isenabled(), gc.get_freeze_count() > 10_000)")
    assert running().ask(**look)[1] == b"True True\n"
    (tmp_path / "sitecustomize.py").write_text("import gc; gc.disable()")
    assert running(PYTHONPATH=f"{tmp_path}:{FORKING}").ask(**look)[1] == b"False True\n"


def test_without_ipykernel_it_says_so_and_ends(running, tmp_path):
    (tmp_path / "ipykernel.py").write_text("raise ImportError('broken')")
    one = running(PYTHONPATH=str(tmp_path))
    assert one.ask(**wanted(""))[0] == b""
    printed, code = one.end()
    assert code == 1
    assert b"ImportError" in printed


class TestPieces:
    def test_all_descriptors_are_shut_but_some(self):
        code = (
            "import os, sys; sys.path.insert(0, sys.argv[1])\nimport main as template\n"
            "highest = os.dup2(0, 900)\ntemplate.shut({0, 1, 2, highest})\n"
            "print(sorted(map(int, os.listdir('/proc/self/fd')))[:3], os.fstat(900).st_rdev > 0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(Path(SCRIPT).parent)], capture_output=True, check=True, text=True
        )
        assert done.stdout == "[0, 1, 2] True\n"

    def test_its_own_command_line(self):
        assert main.command()[0] in (os.fsencode(sys.orig_argv[0]), os.fsencode(sys.executable))

    def test_a_refusal_is_reported_and_costs_nothing_where_nothing_hears_it(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        template = SimpleNamespace(_channel=theirs)
        with ours, theirs:
            for heard in (b"template 11", None):
                hear, report = os.pipe()
                socket.send_fds(ours, [b"fork"], [0, 1, 2, report])
                os.close(report)
                if heard is None:
                    os.close(hear)
                main.TemplateServer.refuse(template, 11)
                if heard is not None:
                    assert os.read(hear, 100) == heard
                    assert os.read(hear, 100) == b""
                    os.close(hear)
            socket.send_fds(ours, [b"fork"], [0])
            main.TemplateServer.refuse(template, 11)
            ours.close()
            with pytest.raises(SystemExit):
                main.TemplateServer.refuse(template, 11)

    def test_bytes_that_are_no_text(self):
        assert main.raw("caf\udce9") == b"caf\xe9"


def test_signals_are_as_python_sets_them(running):
    code = (
        "import signal as s\n"
        "print(s.getsignal(s.SIGINT) is s.default_int_handler, s.pthread_sigmask(s.SIG_BLOCK, []))"
    )
    assert running().ask(**wanted(code))[1] == b"True set()\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
