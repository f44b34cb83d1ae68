"""What forked ipykernels do more quickly. That it changes nothing else is tried in tests/real/test_forked."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from mooring.launch import quick

FOLDER = str(Path(quick.__file__).parent)


class Thread:
    """Of an OutStream: what it schedules is done later, in order."""

    def __init__(self, waiting=0) -> None:
        self._events = deque([None] * waiting)
        self.scheduled = []

    def schedule(self, work):
        self.scheduled.append(work)


class Stream:
    def __init__(self, thread=None, *, printed=True) -> None:
        if thread is not None:
            self.pub_thread = thread
        self._buffers = {"now": "text"} if printed else {}
        self.flushed = 0

    def _flush(self):
        """What flush() has done in the thread."""

    def flush(self):
        self.flushed += 1


@pytest.fixture
def streams(monkeypatch):
    def streams(stdout, stderr=None):
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", stderr or Stream(Thread(), printed=False))

    return streams


def test_what_was_printed_is_put_in_the_queue_without_waiting(streams):
    stream = Stream(Thread())
    streams(stream)
    quick.flush_in_order()
    assert stream.pub_thread.scheduled == [stream._flush]
    assert stream.flushed == 0


def test_where_nothing_was_printed_nothing_is_done(streams):
    stream = Stream(Thread(), printed=False)
    streams(stream)
    quick.flush_in_order()
    assert stream.pub_thread.scheduled == []


def test_who_publishes_faster_than_is_sent_waits(streams):
    stream = Stream(Thread(waiting=quick.MOST_WAITING + 1))
    streams(stream)
    quick.flush_in_order()
    assert (stream.flushed, stream.pub_thread.scheduled) == (1, [])


def test_a_stream_that_somebody_put_there_is_flushed(streams):
    mine, theirs = Stream(), Stream(Thread())
    streams(mine, theirs)
    quick.flush_in_order()
    assert (mine.flushed, theirs.flushed) == (1, 0)
    assert theirs.pub_thread.scheduled == [theirs._flush]


def test_what_stands_for_sys_is_sys_but_for_its_streams():
    stand = quick.Streams()
    assert stand.modules is sys.modules
    assert stand.stdout is not sys.stdout
    with pytest.raises(AttributeError):
        _ = stand.no_such_thing


def run(code):
    start = f"import sys; sys.path.insert(0, {FOLDER!r}); import quick; del sys.path[0]\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + code], capture_output=True, check=True, text=True
    )
    return done.stdout


def test_the_ipykernel_that_is_installed_is_known():
    code = """
import ipykernel.kernelapp
print(quick.quicken())
import zmq
from ipykernel import displayhook, kernelapp
print(type(displayhook.sys).__name__)
with zmq.Context() as context, context.socket(zmq.XPUB) as out, context.socket(zmq.ROUTER) as other:
    for port, socket in enumerate((out, other), 1):
        kernelapp.IPKernelApp(transport="ipc", ip="@mooring-test")._try_bind_socket(socket, port)
    print(out.sndhwm, other.sndhwm == zmq.Context.instance().socket(zmq.ROUTER).sndhwm)
"""
    assert run(code).splitlines() == ["True", "Streams", "0 True"]


@pytest.mark.parametrize(
    "change",
    [
        "del zmqshell.ZMQDisplayPublisher._flush_streams",
        "del iostream.IOPubThread.schedule",
        "del kernelapp.IPKernelApp._try_bind_socket",
        "displayhook.ZMQShellDisplayHook.finish_displayhook = lambda self: None",
        "iostream.OutStream.write = lambda self, text: None",
    ],
)
def test_an_ipykernel_of_another_shape_stays_as_it_is(change):
    code = f"""
from ipykernel import displayhook, iostream, kernelapp, zmqshell
{change}
places = displayhook, kernelapp.IPKernelApp, zmqshell.ZMQDisplayPublisher
before = [dict(vars(one)) for one in places]
print(quick.quicken())
print(before == [dict(vars(one)) for one in places])
"""
    assert run(code).splitlines() == ["False", "True"]
