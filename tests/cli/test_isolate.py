"""``moorage isolate``: whatever the command is and does, it is as if it had been started by itself."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import tty
from pathlib import Path

import pytest

from command import Command, until
from moorage.cli.isolate import cut
from moorage.process.netns.probe import obstacle

needs_namespaces = pytest.mark.skipif(
    sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
)

# Prints its arguments one to a line, ends with the first one as its code.
TELL = "import sys; print(*map(repr, sys.argv[2:]), sep='\\n'); sys.exit(int(sys.argv[1]))"


@pytest.mark.parametrize(
    ("words", "own", "command"),
    [
        (["render", "a.py", "--", "b"], ["render", "a.py", "--", "b"], ()),
        ([], [], ()),
        (["isolate"], ["isolate"], []),
        (["isolate", "--"], ["isolate"], []),
        (["isolate", "--", "a", "--", "b"], ["isolate"], ["a", "--", "b"]),
        (["isolate", "a", "--", "b"], ["isolate"], ["a", "--", "b"]),
        (["isolate", "a", "--help"], ["isolate"], ["a", "--help"]),
        (["isolate", "--", "-x"], ["isolate"], ["-x"]),
        (["isolate", "--port-range", "1-2", "a"], ["isolate", "--port-range", "1-2"], ["a"]),
        (["isolate", "--port-range=1-2", "--", "a"], ["isolate", "--port-range=1-2"], ["a"]),
        (["isolate", "--help"], ["isolate", "--help"], []),
    ],
)
def test_the_command_line_to_isolate_is_left_alone(words, own, command):
    assert cut(words) == (own, command)


def test_nothing_to_isolate_is_wrong_usage(moorage: Command):
    for words in (["isolate"], ["isolate", "--"], ["isolate", "--", "", "x"]):
        done = moorage(*words, code=2)
        assert done.stderr.startswith("error: there is nothing to isolate (E-USAGE). Type moorage isolate")


@pytest.mark.parametrize("range_", ["x", "1", "5-1", "1-99999", "-1-5", "1-²"])
def test_a_wrong_port_range_is_wrong_usage(moorage: Command, range_):
    done = moorage("isolate", f"--port-range={range_}", "true", code=2)
    assert f"{range_} is no range of ports" in done.stderr


@needs_namespaces
def test_arguments_arrive_as_they_are(moorage: Command):
    words = ["a  b", 'c"d', "e'f", "$HOME", "*", "", "-x", "--", "--kernel-arg", "--port-range", "g\nh", "\\"]
    done = moorage("isolate", "--", sys.executable, "-c", TELL, 0, *words, code=0)
    assert done.stdout == "".join(f"{word!r}\n" for word in words)


@needs_namespaces
@pytest.mark.parametrize("code", [0, 1, 2, 3, 125, 130, 255])
def test_the_exit_code_is_the_commands(moorage: Command, code):
    moorage("isolate", sys.executable, "-c", TELL, code, code=code)


@needs_namespaces
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT])
def test_a_command_that_dies_of_a_signal_is_seen_to_die_of_it(moorage: Command, signum):
    code = "import os, resource, sys; resource.setrlimit(4, (0, 0)); os.kill(os.getpid(), int(sys.argv[1]))"
    reset = f"import signal; signal.signal(2, signal.SIG_DFL); {code}"
    moorage("isolate", "--", sys.executable, "-c", reset, int(signum), code=-signum)


@needs_namespaces
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_arrive(moorage: Command, signum):
    code = (
        "import signal, sys; signal.signal(int(sys.argv[1]), lambda *_: sys.exit(42)); "
        "print('ready', flush=True); signal.pause()"
    )
    process = moorage.start("isolate", "--", sys.executable, "-c", code, int(signum))
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signum)
    moorage.ended(process, code=42)


@needs_namespaces
def test_it_takes_this_processs_place(moorage: Command):
    process = moorage.start("isolate", "--", "sh", "-c", "echo $$")
    done = moorage.ended(process, code=0)
    assert int(done.stdout) == process.pid


@needs_namespaces
def test_input_directory_environment_and_open_files_are_there(moorage: Command):
    reading, writing = os.pipe()
    script = f'cat; pwd; echo "$GIVEN"; echo kept >/dev/fd/{writing}; umask'
    process = moorage.start(
        "isolate",
        "--",
        "sh",
        "-c",
        script,
        stdin=subprocess.PIPE,
        env={"GIVEN": "a  b\nc"},
        pass_fds=[writing],
        umask=0o027,
    )
    os.close(writing)
    process.stdin.write(b"typed\n")
    process.stdin.close()
    process.stdin = None
    done = moorage.ended(process, code=0)
    assert done.stdout == f"typed\n{moorage.cwd}\na  b\nc\n0027\n"
    with os.fdopen(reading) as kept:
        assert kept.read() == "kept\n"


@needs_namespaces
def test_sockets_that_were_handed_down_are_closed(moorage: Command):
    """They would lead out: a socket stays in the namespace that it was made in."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as out,
    ):
        local, remote = socket.socketpair()
        with local, remote:
            numbers = [out.fileno(), local.fileno(), server.fileno()]
            code = (
                "import os, sys\nfor n in map(int, sys.argv[1:]): print(os.path.exists(f'/proc/self/fd/{n}'))"
            )
            process = moorage.start(
                "isolate", "--", sys.executable, "-c", code, *numbers, 0, stdin=remote, pass_fds=numbers
            )
            assert moorage.ended(process, code=0).stdout.split() == ["False"] * 3 + ["True"]


@needs_namespaces
def test_the_environment_is_not_touched(moorage: Command):
    env = {"PATH": os.environ["PATH"], "LANG": "C", "EMPTY": "", "PYTHONPATH": "src", "ODD": "caf\udce9"}
    argv = [sys.executable, "-m", "moorage", "isolate", "--", "env", "-0"]
    done = subprocess.run(argv, env=env, capture_output=True, timeout=60, check=True)
    found = dict(entry.split(b"=", 1) for entry in done.stdout.split(b"\0") if entry)
    assert found == {key.encode(): os.fsencode(value) for key, value in env.items()}


@needs_namespaces
def test_a_reader_that_goes_away_ends_the_command_as_ever(moorage: Command):
    script = 'yes; echo "$? of yes" >&2'
    process = moorage.start("isolate", "--", "sh", "-c", script)
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    process.wait(timeout=60)
    assert process.stderr.read() == b"141 of yes\n"


@needs_namespaces
@pytest.mark.parametrize(("ignored", "code"), [(True, 0), (False, -signal.SIGHUP)])
def test_what_was_ignored_stays_ignored(moorage: Command, ignored, code):
    def before():
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)

    process = moorage.start("isolate", "--", "sh", "-c", "kill -HUP $$; exit 0", preexec_fn=before)
    moorage.ended(process, code=code)


@needs_namespaces
def test_a_terminal_stays_the_commands_and_ctrl_c_reaches_it(moorage: Command):
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    attributes = termios.tcgetattr(theirs)
    attributes[1] = 0
    attributes[3] = termios.ISIG
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    code = (
        "import os, signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(42)); "
        "print(os.isatty(0), os.isatty(1), flush=True); signal.pause()"
    )
    script = 'exec "$@" <> "$0" >&0'  # opening a terminal makes it the session's
    argv = ["sh", "-c", script, os.ttyname(theirs), sys.executable, "-m", "moorage", "isolate", "--"]
    process = moorage.launch([*argv, sys.executable, "-c", code])
    said = b""
    while b"\n" not in said:
        said += os.read(ours, 100)
    assert said.split() == [b"True", b"True"]
    os.write(ours, b"\x03")
    moorage.ended(process, code=42)
    os.close(ours)
    os.close(theirs)


@needs_namespaces
@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("no-such-command", 127, "No directory of the PATH"),
        ("/no/such/command", 127, "No such file"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/etc", 126, "Permission denied"),
    ],
)
def test_what_cannot_be_executed_is_a_sentence_and_the_usual_code(moorage: Command, command, code, says):
    done = moorage("isolate", "--", command, code=code)
    assert done.stderr.startswith(f"error: {command!r} cannot be started (E-LAUNCH). {says}")
    assert done.stderr.count("\n") == 1


@needs_namespaces
def test_a_script_without_a_first_line_is_the_shells(moorage: Command):
    script = moorage.cwd / "plain"
    script.write_text('echo "got $1"\n')
    script.chmod(0o755)
    assert moorage("isolate", script, "a  b", code=0).stdout == "got a  b\n"


@needs_namespaces
def test_the_port_range_holds_inside_alone(moorage: Command):
    place = Path("/proc/sys/net/ipv4/ip_local_port_range")
    before = place.read_text()
    code = (
        "import socket; print(sorted(socket.create_server(('127.0.0.1', 0)).getsockname()[1] for _ in 'ab'))"
    )
    done = moorage("isolate", "--port-range", "40000-40001", "cat", place, code=0)
    assert done.stdout.split() == ["40000", "40001"]
    assert place.read_text() == before
    done = moorage("isolate", "--port-range", "80-90", "true", code=125)
    assert "no range of ports" in done.stderr
    code = code.replace("[1] for", "[1] // 1000 for")
    done = moorage("isolate", "--port-range", "40000-40001", sys.executable, "-c", code, code=0)
    assert done.stdout == "[40, 40]\n"


@needs_namespaces
def test_two_at_once_have_a_loopback_each(moorage: Command):
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 8888)); print('bound', flush=True); "
        "sys.stdin.read()"
    )
    argv = ["isolate", "--", sys.executable, "-c", code]
    both = [moorage.start(*argv, stdin=subprocess.PIPE) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == [b"bound\n"] * 2
    for process in both:
        process.stdin.close()
        process.stdin = None
        moorage.ended(process, code=0)


@needs_namespaces
def test_nothing_is_left_of_one_that_is_killed(moorage: Command):
    process = moorage.start("isolate", "--", "sleep", "600")
    process.kill()
    process.wait()
    assert until(lambda: not moorage.left())
