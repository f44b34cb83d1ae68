"""What forked ipykernels do more quickly. That it changes nothing else is tried in tests/real/test_forked."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import pytest

from moorage.launch import quick

FOLDER = str(Path(quick.__file__).parent)


class Thread:
    """A printing thread that sends nothing until somebody says so."""

    def __init__(self, waiting=0) -> None:
        self._events = deque([lambda: None] * waiting)
        self.thread = threading.current_thread()
        self._event_pipe = self
        self.woken = 0
        self.sent = []

    def send(self, _):
        self.woken += 1

    def _really_send(self, message, **options):
        self.sent.append(message)

    def work(self):
        while self._events:
            self._events.popleft()()


class Stream:
    """An OutStream: what is printed waits in its buffer."""

    name, topic, echo = "stdout", b"topic", None
    _fid, _should_watch, _exc = None, False, None

    def __init__(self, thread, *printed, master=True) -> None:
        self.pub_thread = thread
        self.session = self
        self.printed = list(printed)
        self.flushed = 0
        self._is_master_process = lambda: master

    def _flush_buffers(self):
        taken, self.printed = self.printed, []
        yield {"msg_id": "1"}, "".join(taken)

    def _flush(self):
        """The thread's own."""

    def _watch_pipe_fd(self):
        """The other thread's."""

    def watch(self):
        """Redirect a descriptor, as OutStream does to 1 and 2; return it, and where all goes as well."""
        self._fid, writer = os.pipe()
        copy, self._original_stdstream_copy = os.pipe()
        self._should_watch = True
        return writer, copy

    def write(self, text):
        self.printed.append(text)

    def flush(self):
        self.flushed += 1

    def msg(self, kind, content, parent):
        return kind, content["name"], content["text"], parent["msg_id"]

    def send(self, queue, message, ident):
        queue.send_multipart((*message, ident), copy=True)


@pytest.fixture
def order(monkeypatch):
    for name in ("_flush", "_watch_pipe_fd"):
        monkeypatch.setattr(Stream, name, getattr(Stream, name))
    order = quick.Order()
    order.keep_in(Stream)
    return order


@pytest.fixture
def streams(monkeypatch):
    def streams(stdout, stderr=None):
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", stderr or Stream(Thread()))

    return streams


def test_what_was_printed_is_put_in_the_queue_without_waiting(streams, order):
    thread = Thread()
    stream = Stream(thread, "a", "b")
    streams(stream)
    order.flush()
    stream.printed.append("after")
    assert (thread.sent, thread.woken, stream.flushed) == ([], 1, 0)
    thread.work()
    assert thread.sent == [("stream", "stdout", "ab", "1", b"topic")]
    assert stream.printed == ["after"]


def test_where_nothing_was_printed_nothing_is_done(streams, order):
    thread = Thread()
    streams(Stream(thread))
    order.flush()
    assert (len(thread._events), thread.woken) == (0, 0)


@pytest.mark.parametrize("why", ["full", "echo", "forked", "ended"])
def test_an_unusual_stream_is_flushed_as_ever(streams, order, why):
    thread = Thread(waiting=quick.MOST_WAITING + 1 if why == "full" else 0)
    stream = Stream(thread, "a", master=why != "forked")
    if why == "echo":
        stream.echo = sys.__stdout__
    if why == "ended":
        thread.thread = threading.Thread()
    streams(stream)
    order.flush()
    assert (stream.flushed, stream.printed, thread.sent) == (1, ["a"], [])


def test_a_wrapper_that_gives_what_is_the_streams_own_is_flushed(streams, order):
    inner = Stream(Thread(), "a")

    class Wrapper:
        flushed = 0

        def flush(self):
            self.flushed += 1

        def __getattr__(self, name):
            return getattr(inner, name)

    streams(Wrapper())
    order.flush()
    assert (sys.stdout.flushed, inner.printed) == (1, ["a"])


def test_what_was_written_to_a_descriptor_comes_before_what_is_published_next(streams, order):
    thread = Thread()
    stream = Stream(thread)
    streams(stream)
    writer, copy = stream.watch()
    written = "ä" * 3000
    os.write(writer, written.encode())
    order.flush()
    thread.work()
    assert [message[2] for message in thread.sent] == [written]
    assert os.read(copy, 10_000) == written.encode()
    order.flush()  # and nothing twice
    assert (len(thread._events), stream.flushed) == (0, 0)


def test_nobody_need_read_what_is_written_to_a_descriptor(streams, order):
    thread = Thread()
    stream = Stream(thread)
    streams(stream)
    writer, copy = stream.watch()
    os.close(copy)
    os.write(writer, b"a")
    order.flush()
    thread.work()
    assert [message[2] for message in thread.sent] == ["a"]


def test_a_thread_moves_what_is_written_to_a_descriptor_until_the_stream_is_closed(order):
    stream = Stream(Thread())
    writer, copy = stream.watch()
    watching = threading.Thread(target=stream._watch_pipe_fd)
    watching.start()
    os.write(writer, b"a")
    assert os.read(copy, 10) == b"a"
    assert stream.printed == ["a"]
    stream._should_watch = False
    os.write(writer, b"\0")  # as OutStream.close() wakes it
    watching.join(10)
    assert (watching.is_alive(), stream.printed, stream._exc) == (False, ["a"], None)


def test_a_descriptor_without_writers_ends_the_thread(order):
    stream = Stream(Thread())
    writer, _ = stream.watch()
    os.close(writer)
    stream._watch_pipe_fd()
    assert stream._exc is None


def test_a_stream_that_somebody_put_there_is_flushed(streams, order):
    mine = io.StringIO()
    theirs = Stream(Thread(), "b")
    streams(mine, theirs)
    order.flush()
    assert theirs.printed == []


def test_who_displays_waits_for_a_thread_that_is_about_to_put_text_in_the_queue(streams, order):
    """Between a buffer and the queue text is nowhere: nothing may overtake it there."""
    taken, go = threading.Event(), threading.Event()

    class Printing(Stream):
        def _flush(self):
            ((_, text),) = self._flush_buffers()
            taken.set()
            go.wait(10)
            self.pub_thread._events.append(lambda: self.pub_thread.sent.append(text))

    order.keep_in(Printing)
    thread = Thread()
    stream = Printing(thread, "before")
    streams(stream)
    printing = threading.Thread(target=stream._flush)
    printing.start()
    assert taken.wait(10)

    def display():
        order.flush()
        thread._events.append(lambda: thread.sent.append("display"))

    displaying = threading.Thread(target=display)
    displaying.start()
    go.set()
    printing.join()
    displaying.join()
    thread.work()
    assert thread.sent == ["before", "display"]


def test_a_fork_does_not_wait_for_a_thread_it_does_not_have():
    code = """
import os, threading
order = quick.Order()
held, done = threading.Event(), threading.Event()
def hold():
    with order._lock:
        held.set()
        done.wait(10)
threading.Thread(target=hold).start()
held.wait(10)
if pid := os.fork():
    print(os.waitpid(pid, 0)[1])
    done.set()
else:
    os._exit(0 if order._lock.acquire(timeout=5) else 1)
"""
    assert run(code) == "0\n"


def test_what_stands_for_sys_is_sys_but_for_its_streams(monkeypatch):
    flushed = []
    stand = quick.Streams(lambda: flushed.append(1))
    stand.stdout.flush()
    stand.stderr.flush()
    assert (stand.modules is sys.modules, flushed) == (True, [1])
    assert stand.stderr.fileno == sys.stderr.fileno
    with pytest.raises(AttributeError):
        _ = stand.no_such_thing
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert (stand.stdout, stand.stderr) == (None, None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    stand.stderr.flush()
    assert flushed == [1, 1]


def test_where_there_are_no_streams_none_is_flushed(streams, order):
    thread = Thread()
    streams(None, Stream(thread, "a"))
    order.flush()
    thread.work()
    assert [message[2] for message in thread.sent] == ["a"]


def test_a_nap_that_somebody_asked_for_is_taken(monkeypatch):
    naps = []
    monkeypatch.setattr(quick.time, "sleep", naps.append)
    clock = quick.Clock()
    clock.sleep(quick.NAP)
    clock.sleep(0.25)
    assert (naps, clock.monotonic is quick.time.monotonic) == ([0.25], True)


def test_a_kernel_that_keeps_its_streams_keeps_the_real_ones(streams):
    stream = Stream(Thread())
    streams(stream, stream)

    class Kernel:
        def __init__(self, *, log):
            self.log, self._stdout, self._stderr = log, "a stand-in", "another"

    quick.keep_streams(Kernel)
    kernel = Kernel(log=1)
    assert (kernel.log, kernel._stdout, kernel._stderr) == (1, stream, stream)


def test_what_was_printed_is_sent_before_somebody_is_asked(streams):
    thread = Thread()
    stdout = Stream(thread, "who are you? ")
    streams(stdout)

    class Kernel:
        def _input_request(self, prompt, *, password):
            return stdout.flushed, prompt, password

    quick.show_before_asking(Kernel)
    assert Kernel()._input_request("name", password=False) == (1, "name", False)


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
from ipykernel import displayhook, kernelapp, kernelbase
print(type(displayhook.sys).__name__, type(kernelbase.sys).__name__, type(kernelbase.time).__name__)
print(kernelbase.Kernel._execute_sleep.default_value == quick.NAP)
with zmq.Context() as context, context.socket(zmq.XPUB) as out, context.socket(zmq.ROUTER) as other:
    for port, socket in enumerate((out, other), 1):
        kernelapp.IPKernelApp(transport="ipc", ip="@moorage-test")._try_bind_socket(socket, port)
    print(out.sndhwm, other.sndhwm == zmq.Context.instance().socket(zmq.ROUTER).sndhwm)
"""
    assert run(code).splitlines() == ["True", "Streams Streams Clock", "True", "0 True"]


@pytest.mark.parametrize(
    "change",
    [
        "del zmqshell.ZMQDisplayPublisher._flush_streams",
        "del iostream.IOPubThread.schedule",
        "del kernelapp.IPKernelApp._try_bind_socket",
        "displayhook.ZMQShellDisplayHook.finish_displayhook = lambda self: None",
        "iostream.OutStream.write = lambda self, text: None",
        "del iostream.OutStream._flush_buffers",
        "del kernelbase.Kernel._input_request",
        "del kernelbase.time",
        "iostream.OutStream._watch_pipe_fd = lambda self: None",
    ],
)
def test_an_ipykernel_of_another_shape_stays_as_it_is(change):
    code = f"""
from ipykernel import displayhook, iostream, kernelapp, kernelbase, zmqshell
{change}
places = displayhook, kernelapp.IPKernelApp, kernelbase, kernelbase.Kernel, zmqshell.ZMQDisplayPublisher
before = [dict(vars(one)) for one in places]
print(quick.quicken())
print(before == [dict(vars(one)) for one in places])
"""
    assert run(code).splitlines() == ["False", "True"]


def test_modules_are_listed_when_somebody_asks_as_they_were():
    code = """
import sys, types
held = dict(sys.modules)
class Kernel:
    def __init__(self):
        self.debugger = types.SimpleNamespace(kernel_modules=None)
        self.first = [*ipykernel.sys.modules.copy().values()]
        import wave
ipykernel = types.SimpleNamespace(IPythonKernel=Kernel, sys=sys)
quick.list_modules_later(ipykernel)
import colorsys
kernel = Kernel()
import csv
files = list(kernel.debugger.kernel_modules)
expected = {each.__file__ for each in held.values() if getattr(each, "__file__", None)} | {colorsys.__file__}
print(set(files) == expected, kernel.first, ipykernel.sys.version_info == sys.version_info)
"""
    assert run(code) == "True [] True\n"
