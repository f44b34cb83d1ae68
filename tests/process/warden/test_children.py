"""The warden's children; most of it is tried through the warden in test_local."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from moorage.process.warden import children, process

FORGET = """
import json, os, select, signal, sys
sys.path.append({folder!r})
from warden import children
told = []
signal.signal(signal.SIGINT, signal.SIG_IGN)
brood = children.Children(lambda tell, **rest: told.append((tell, rest)))
def launch(name, *argv):
    payload = os.memfd_create("x")
    os.write(payload, json.dumps(dict(argv=argv, cwd="/", env=dict(PATH=os.environ["PATH"]))).encode())
    brood.spawn(name, [payload, 1, 2])
    os.close(payload)
launch("a", "sh", "-c", "exit 3")
assert not brood.forget("a")
while brood.reap(): pass
assert [tell for tell, _ in told] == ["started", "exited"], told
assert told[1][1]["code"] == 3
brood.signal("a", 9)
assert brood.forget("a") and brood.forget("a") and brood.forget("b")
launch("c", "/no/such/program")
while brood.reap(): pass
assert told[2] == ("failed", dict(id="c", stage="exec", errno=2)), told
assert not brood.known
print("all well")
"""


def test_a_child_is_started_told_of_reaped_and_forgotten():
    code = FORGET.format(
        folder=str(Path(children.__file__).parents[1])
    )  # in its own process: it reaps every child
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == "all well\n", done.stderr


def test_bytes_that_are_no_text_survive():
    assert children.raw("caf\udce9") == b"caf\xe9"


def test_a_payload_of_any_size_is_passed_in_memory():
    import os

    fd = process.payload(b"x" * 1_000_000)
    assert os.pread(fd, 2_000_000, 0) == b"x" * 1_000_000
    os.close(fd)


EXPECT = """
import json, os, signal, sys, time
sys.path.append({folder!r})
from warden import children
told = []
children.prctl(children.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
brood = children.Children(lambda tell, **rest: told.append((tell, rest)))

def expect(name):
    reader, writer = os.pipe()
    brood.expect(name, reader)
    return writer

def fork(code, report=-1, say=b""):
    # As a template does: twice, so that it becomes ours.
    hear, tell = os.pipe()
    if pid := os.fork():
        os.close(tell)
        os.waitpid(pid, 0)
        return int(os.read(hear, 10)), os.close(hear)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.write(tell, b"%d" % os.getpid())
    if report >= 0:
        os.write(report, say % os.getpid() if b"%" in say else say)
        os.close(report)
    if code is None:
        time.sleep(60)
    os._exit(code)

def settle():
    deadline = time.monotonic() + 10
    count = len(told)
    while len(told) == count and time.monotonic() < deadline:
        brood.hear(); brood.reap(); time.sleep(0.001)
{code}
print("all well")
"""


def tried(code):
    text = EXPECT.format(folder=str(Path(children.__file__).parents[1]), code=code)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", text], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "all well\n", done.stderr


def test_a_fork_is_told_of_when_it_says_who_it_is_and_when_it_ends():
    tried("""
report = expect("a")
pid, _ = fork(3, report, b"pid %d")
os.close(report)
settle()
assert told[0] == ("started", dict(id="a", pid=pid)), told
if len(told) < 2: settle()
assert told[1][0] == "exited" and told[1][1]["code"] == 3, told
assert brood.forget("a") and not brood.known and not brood._alive
""")


def test_what_a_template_reports_or_does_not_is_a_failure_of_the_launch():
    tried("""
for name, say, stage, number in [("a", b"chdir 2", "chdir", 2), ("b", b"", "template", 0)]:
    report = expect(name)
    fork(127, report, say)
    os.close(report)
    settle()
    assert told.pop() == ("failed", dict(id=name, stage=stage, errno=number)), told
assert not brood.known and not brood.reports
""")


def test_a_fork_that_ended_before_its_order_came_is_told_of_with_its_exit():
    tried("""
reader, report = os.pipe()
pid, _ = fork(4, report, b"pid %d")
os.close(report)
while pid not in brood._strays:
    brood.reap(); time.sleep(0.001)
assert told == []
brood.expect("late", reader)
brood.hear()
assert [tell for tell, _ in told] == ["started", "exited"], told
assert told[1][1]["code"] == 4 and brood.forget("late")
for number in range(3 * children.MOST_STRAYS):
    brood._strays.clear() if number == 0 else None
    fork(0)
while brood.reap(): time.sleep(0.001)
assert 0 < len(brood._strays) <= children.MOST_STRAYS
""")


def test_a_process_of_a_pid_that_came_round_again_is_not_its_predecessor():
    tried("""
report = expect("b")
hear, tell = os.pipe()
pid, _ = fork(None)
brood._strays[pid] = 9, None  # one of that pid ended long ago
os.write(report, b"pid %d" % pid)
os.close(report)
brood.hear()
assert told == [("started", dict(id="b", pid=pid))], told
brood.signal("b", 9)
settle()
assert told[1][1]["signal"] == 9, told
""")


def test_an_abandoned_fork_is_heard_of_no_more_and_forgotten():
    tried("""
report = expect("a")
brood.abandon("a")
brood.abandon("a")
brood.abandon("never")
assert not brood.reports and brood.known["a"].report == -1
try:
    os.write(report, b"pid 1")
except BrokenPipeError:
    pass
else:
    raise AssertionError
assert brood.forget("a") and not brood.known and told == []
""")


def test_a_fork_that_reported_while_it_was_abandoned_is_found_by_its_marker():
    tried("""
import procfs
template = expect("template")
template, _ = fork(None, template, b"pid %d")
brood.hear()
report = expect("x")
hear, tell = os.pipe()
if (pid := os.fork()) == 0:  # a spare: first it is the template's, then it shows another marker
    os.setsid()
    os.execve(sys.executable, ["python", "-c", "import time; time.sleep(60)"], {"MOORAGE_LAUNCH": "x"})
deadline = time.monotonic() + 10
while procfs.marker(pid) != "x" and time.monotonic() < deadline:
    time.sleep(0.001)
brood._seen = {(pid, procfs.look(pid).start): "template"}
brood.abandon("x")
assert [one.pid for one in brood.families()["x"]] == [pid]
os.kill(pid, 9)
os.kill(template, 9)
""")


def test_an_orphan_that_is_just_ending_is_of_any_launch_and_another_unknown_one_of_none():
    tried("""
import procfs
ending, _ = fork(None)
unknown, _ = fork(None)
table = procfs.table
def seen():
    found = table()
    found[ending].ending = True
    return found
procfs.table = seen
found = brood.families()
assert [one.pid for one in found[children.ENDING]] == [ending], found
assert unknown in [one.pid for one in found[""]], found
assert not brood._seen
for pid in (ending, unknown):
    os.kill(pid, 9)
""")
