"""What forked ipykernels do more quickly. That it changes nothing else is tried in tests/real/test_forked."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from moorage.process.ipykernel_patches import forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")

FOLDER = str(Path(forked.__file__).parent)
LONG = 20


@pytest.fixture
def iostream():
    return pytest.importorskip("ipykernel.iostream")


@pytest.fixture
def streams(iostream):
    """A class like ipykernel's OutStream, changed."""
    streams = type("OutStream", iostream.OutStream.__bases__, dict(vars(iostream.OutStream)))
    order = forked.Order([display.__code__])
    order.keep_in(streams, iostream.IOPubThread)
    return streams


@pytest.fixture
def thread(iostream):
    """A printing thread that keeps what it sends; while ``gate`` is shut it does nothing."""
    zmq = pytest.importorskip("zmq")

    class Thread(iostream.IOPubThread):
        def _really_send(self, message, *args, **options):
            parts = [bytes(part) for part in message]
            content = json.loads(parts[parts.index(b"<IDS|MSG>") + 5])
            self.sent.append(content.get("text", content))

        async def _run_event_pipe_gc(self):
            """Nothing that would still wait when the thread ends."""

    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        thread = Thread(socket)
        thread.sent, thread.gate = [], threading.Event()
        thread.gate.set()
        thread.start()
        settled(thread)
        yield thread
        thread.gate.set()
        thread.stop()


@pytest.fixture
def stream(streams, thread):
    session = pytest.importorskip("jupyter_client.session").Session(key=b"")
    stream = streams(session, thread, "stdout", watchfd=False)
    stream.flush_interval = 3600  # by itself it publishes nothing
    yield stream
    if not stream.closed:
        stream.close()


@pytest.fixture
def watched(stream):
    """What is written to the first goes to the stream; what it passes on comes out of the second."""
    stream._fid, writer = os.pipe()
    copy, stream._original_stdstream_copy = os.pipe()
    stream._should_watch = True
    pipes = {one: os.fstat(one) for one in (stream._fid, writer, copy, stream._original_stdstream_copy)}
    yield writer, copy
    stream._should_watch = False
    for descriptor, pipe in pipes.items():
        with suppress(OSError):  # the test closed it, and perhaps its number is another's now
            if os.path.samestat(os.fstat(descriptor), pipe):
                os.close(descriptor)


def shut(thread):
    """Let the printing thread wait until its gate is opened; return when it does."""
    there = threading.Event()
    thread.gate.clear()
    thread.schedule(lambda: (there.set(), thread.gate.wait(LONG)))
    assert there.wait(LONG)


def display(stream, what="display"):
    """Publish as ipykernel does, after what was printed."""
    stream.flush()
    stream.session.send(stream.pub_thread, "display_data", {"text": what})


def settled(thread):
    """Return all that was sent when the thread has done what it was given so far."""
    done = threading.Event()
    thread.schedule(done.set)
    assert done.wait(LONG)
    return thread.sent


def test_what_was_printed_comes_first_and_nothing_waits(stream, thread):
    shut(thread)
    stream.write("a")
    stream.write("b")
    display(stream)
    stream.write("after")
    thread.gate.set()
    assert settled(thread) == ["ab", "display"]
    stream.flush()
    assert settled(thread) == ["ab", "display", "after"]


def test_where_nothing_was_printed_nothing_is_put_in_the_queue(stream, thread):
    shut(thread)
    display(stream)
    assert len(thread._events) == 1
    stream.write("")
    thread.gate.set()
    assert settled(thread) == ["display"]


def test_user_code_that_flushes_waits_until_it_is_sent(stream, thread):
    stream.write("a")
    stream.flush()
    assert thread.sent == ["a"]
    shut(thread)
    stream.flush_timeout = 0.01
    stream.write("b")
    stream.flush()  # as ever: with a word to the original stderr
    assert thread.sent == ["a"]


def test_a_full_queue_is_waited_for(stream, thread):
    for _ in range(forked.MOST_WAITING + 1):
        thread._events.append(lambda: None)
    stream.write("a")
    stream.flush()
    assert thread.sent == ["a"]


def test_hooks_are_called_by_the_thread_and_waited_for(stream, thread):
    def redact(message):
        message["content"]["text"] = message["content"]["text"].replace("secret", "***")
        return message

    seen = []
    stream.register_hook(seen.append)  # for this thread, which sends nothing: as ever
    thread.schedule(lambda: stream.register_hook(redact))
    stream.write("a secret")
    display(stream)
    assert thread.sent[:1] == ["a ***"]  # before anything else was done
    assert settled(thread) == ["a ***", "display"]
    assert seen == []
    thread.schedule(lambda: stream.register_hook(seen.append))
    stream.write("kept back")
    display(stream)
    assert [message["content"]["text"] for message in seen] == ["kept back"]
    assert settled(thread) == ["a ***", "display", "display"]


def test_an_echo_has_what_was_printed(stream, thread):
    class Tee(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    stream.echo = Tee()
    stream.write("a")
    display(stream)
    assert (stream.echo.getvalue(), stream.echo.flushed > 0, thread.sent[:1]) == ("a", True, ["a"])
    before = stream.echo.flushed
    stream.flush()
    assert stream.echo.flushed > before


def test_text_that_cannot_be_sent_is_told_and_costs_nothing_else(stream, thread, caplog):
    with caplog.at_level(logging.ERROR):
        stream.write("\ud800")
        display(stream)
        assert "Uncaught exception in ZMQStream callback" in caplog.text
        assert "surrogates not allowed" in caplog.text
    stream.write("\u00e4")
    display(stream)
    assert settled(thread) == ["display", "\u00e4", "display"]


def test_a_hook_that_raises_is_told_and_costs_nothing_else(stream, thread, caplog):
    thread.schedule(lambda: stream.register_hook(lambda message: message["no such"]))
    settled(thread)
    stream.write("a")
    with caplog.at_level(logging.ERROR):
        display(stream)
    assert "KeyError: 'no such'" in caplog.text
    assert settled(thread) == ["display"]


def test_each_parent_has_its_own_text(stream, thread):
    told = []
    thread.schedule(lambda: stream.register_hook(told.append))
    stream.set_parent({"header": {"msg_id": "1"}})
    stream.write("one")
    stream.set_parent({"header": {"msg_id": "2"}})
    stream.write("two")
    display(stream)
    settled(thread)
    # A hook that keeps a message back ends what one flush publishes: as ever.
    assert [(one["parent_header"]["msg_id"], one["content"]["text"]) for one in told] == [("1", "one")]


def test_what_is_printed_without_a_flush_is_published_soon(stream, thread):
    stream.flush_interval = 0.001
    sent = threading.Event()
    thread.schedule(lambda: stream.register_hook(lambda message: (sent.set(), message)[1]))
    for number in range(3):
        sent.clear()
        stream.write(str(number))
        assert sent.wait(LONG)
    assert settled(thread) == ["0", "1", "2"]


def test_what_the_thread_publishes_comes_after_what_is_in_the_queue(stream, thread):
    shut(thread)
    stream.write("a")
    display(stream)
    stream.write("b")
    thread.schedule(stream._flush)
    display(stream, "another")
    thread.gate.set()
    assert settled(thread) == ["a", "display", "b", "another"]


def test_a_stream_that_was_closed_is_as_ever(stream, thread, streams, iostream):
    stream.write("a")
    stream.flush()
    stream.close()
    for each in (stream, iostream.OutStream(stream.session, thread, "stdout", watchfd=False)):
        if not each.closed:
            each.close()
        each.flush()
        with pytest.raises(ValueError, match="closed file"):
            each.write("b")
    assert settled(thread) == ["a"]


def test_in_a_fork_it_is_sent_as_ever(stream, thread, monkeypatch):
    monkeypatch.setattr(stream, "_master_pid", 1)
    stream.write("a")
    stream.flush()
    assert settled(thread) == ["a"]


def test_without_its_thread_it_is_sent_at_once(stream, thread):
    stream._flush_pending = True  # there is nothing left to do it later
    thread.stop()
    stream.write("a")
    display(stream)
    assert thread.sent == ["a", "display"]


def test_the_thread_itself_can_flush(stream, thread):
    stream.write("a")
    thread.schedule(lambda: display(stream))
    settled(thread)
    assert settled(thread) == ["a", "display"]


@pytest.mark.parametrize("more", [0, 1])
def test_hooks_that_the_thread_has_while_it_flushes_are_called(stream, thread, more):
    def redact(message):
        message["content"]["text"] = "***"
        return message

    def flush():
        stream.register_hook(redact)
        stream.write("secret")
        stream.flush()
        stream.unregister_hook(redact)

    shut(thread)
    thread.schedule(flush)
    for _ in range(more):
        thread.schedule(lambda: thread.sent.append("before"))
    thread.gate.set()
    settled(thread)
    assert settled(thread) == ["before"] * more + ["***"]


def test_what_takes_the_place_of_a_function_looks_like_it(streams, iostream):
    for name in ("flush", "_flush", "_watch_pipe_fd", "register_hook"):
        new, old = vars(streams)[name], vars(iostream.OutStream)[name]
        assert new is not old
        for word in ("__name__", "__qualname__", "__module__", "__doc__"):
            assert getattr(new, word) == getattr(old, word)


# -- descriptors --------------------------------------------------------------------------------------


def test_what_was_written_to_a_descriptor_comes_before_what_is_published_next(stream, thread, watched):
    writer, copy = watched
    written = "\u00e4" * 3000
    os.write(writer, written.encode())
    display(stream)
    display(stream)  # and nothing twice
    assert settled(thread) == [written, "display", "display"]
    assert os.read(copy, 10_000) == written.encode()


def test_nothing_need_read_what_is_written_to_a_descriptor(stream, thread, watched):
    writer, copy = watched
    os.close(copy)
    os.write(writer, b"a")
    display(stream)
    assert settled(thread) == ["a", "display"]


def test_a_reader_that_reads_nothing_is_not_waited_for(stream, thread, watched):
    """The thread that watches waits, as ever; whoever displays does not."""
    writer, copy = watched
    os.set_blocking(stream._original_stdstream_copy, False)
    with suppress(BlockingIOError):
        while os.write(stream._original_stdstream_copy, b"x" * 65536):
            pass
    os.set_blocking(stream._original_stdstream_copy, True)
    os.write(writer, b"a")
    display(stream)
    assert settled(thread) == ["display"]
    while os.read(copy, 1 << 20)[-1:] == b"x" and forked.unread(copy):
        pass
    display(stream)
    assert settled(thread) == ["display", "a", "display"]


def test_it_belongs_to_the_cell_and_not_to_the_thread_that_displays(stream, thread, watched):
    writer, _ = watched
    told = []
    thread.schedule(lambda: stream.register_hook(told.append))
    stream.set_parent({"header": {"msg_id": "the cell's"}})

    def own():
        stream._parent_header.set({"msg_id": "the thread's"})
        os.write(writer, b"a")
        display(stream)

    one = threading.Thread(target=own)
    one.start()
    one.join(LONG)
    settled(thread)
    assert [message["parent_header"]["msg_id"] for message in told] == ["the cell's"]


def test_a_thread_moves_what_is_written_to_a_descriptor_until_the_stream_is_closed(stream, watched):
    writer, copy = watched
    watching = threading.Thread(target=stream._watch_pipe_fd)
    watching.start()
    os.write(writer, b"a")
    assert os.read(copy, 10) == b"a"
    stream._should_watch = False
    os.write(writer, b"\0")  # as OutStream.close() wakes it
    watching.join(LONG)
    assert (watching.is_alive(), stream._exc) == (False, None)
    stream.flush()
    assert stream.pub_thread.sent == ["a"]


def test_a_descriptor_without_writers_ends_the_thread(stream, watched):
    os.close(watched[0])
    stream._watch_pipe_fd()
    assert stream._exc is None


def test_a_thread_that_cannot_watch_keeps_why(stream, watched):
    stream._fid = "no descriptor"
    stream._watch_pipe_fd()
    assert isinstance(stream._exc[1], TypeError)
    stream._exc = None


def test_descriptors_that_were_closed_under_it_are_left_to_the_thread_that_watches(stream, thread, watched):
    os.close(stream._fid)
    display(stream)
    assert settled(thread) == ["display"]


# -- the rest -----------------------------------------------------------------------------------------


def test_a_fork_does_not_wait_for_a_thread_it_does_not_have():
    code = """
import os, threading
order = forked.Order([])
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


def test_a_nap_that_somebody_asked_for_is_taken(monkeypatch):
    naps = []
    monkeypatch.setattr(forked.time, "sleep", naps.append)
    clock = forked.Clock()
    clock.sleep(forked.NAP)
    clock.sleep(0.25)
    assert (naps, clock.monotonic is forked.time.monotonic) == ([0.25], True)


def run(code):
    start = f"import sys; sys.path.insert(0, {FOLDER!r}); import forked; del sys.path[0]\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", start + code], capture_output=True, check=True, text=True
    )
    return done.stdout


def test_the_ipykernel_that_is_installed_is_known():
    code = """
import ipykernel.kernelapp
print(forked.patch())
import zmq
from ipykernel import displayhook, ipkernel, iostream, kernelapp, kernelbase
print(displayhook.sys is kernelbase.sys is ipkernel.sys is sys, type(kernelbase.time).__name__)
nap = kernelbase.Kernel._execute_sleep.default_value
print(nap == forked.NAP, iostream.OutStream.flush.__wrapped__ is not None)
with zmq.Context() as context:
    out, old, other = sockets = [context.socket(kind) for kind in (zmq.XPUB, zmq.PUB, zmq.ROUTER)]
    for port, socket in enumerate(sockets, 1):
        kernelapp.IPKernelApp(transport="ipc", ip="@moorage-test")._try_bind_socket(socket, port)
    print(out.sndhwm, old.sndhwm, other.sndhwm == zmq.Context.instance().socket(zmq.ROUTER).sndhwm)
    context.destroy()
"""
    assert run(code).splitlines() == ["[]", "True Clock", "True True", "0 0 True"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("del zmqshell.ZMQDisplayPublisher._flush_streams", "publish_in_order: KeyError: '_flush_streams'"),
        (
            "iostream.IOPubThread.schedule = lambda self, f: f()",
            "publish_in_order: AttributeError: no _event_pipe, _events",
        ),
        ("del iostream.IOPubThread._really_send", "publish_in_order: AttributeError: no _really_send"),
        ("del iostream.OutStream._flush_buffers", "publish_in_order: AttributeError: no _flush_buffers"),
        ("del kernelbase.Kernel.process_control", "publish_in_order: KeyError: 'process_control'"),
        (
            "iostream.OutStream._watch_pipe_fd = lambda self: None",
            "publish_in_order: AttributeError: no _fid, _original_stdstream_copy, _should_watch",
        ),
        ("del kernelbase.time", "nap_no_more: AttributeError: no Kernel._execute_sleep or no time"),
        (
            "del kernelbase.Kernel._execute_sleep",
            "nap_no_more: AttributeError: no Kernel._execute_sleep or no time",
        ),
        ("del kernelapp.IPKernelApp._try_bind_socket", "keep_all: KeyError: '_try_bind_socket'"),
        ("del ipkernel.IPythonKernel", "list_modules_later: KeyError: 'IPythonKernel'"),
    ],
)  # fmt: skip
def test_what_is_of_another_shape_stays_as_it_is_and_is_told(change, told):
    code = f"""
from ipykernel import displayhook, iostream, ipkernel, kernelapp, kernelbase, zmqshell
kernel = ipkernel.IPythonKernel
places = {{
    "publish_in_order": [iostream.OutStream],
    "nap_no_more": [kernelbase],
    "keep_all": [kernelapp.IPKernelApp],
    "list_modules_later": [ipkernel, kernel],
}}
{change}
before = {{name: [dict(vars(one)) for one in held] for name, held in places.items()}}
(told,) = forked.patch()
print(told)
name = told.partition(":")[0]
print([other for other in places if before[other] == [dict(vars(one)) for one in places[other]]] == [name])
"""
    assert run(code).splitlines() == [told, "True"]


def test_modules_are_listed_as_they_were():
    code = """
import ipykernel.kernelapp, types
from ipykernel import ipkernel
held, seen = dict(sys.modules), []
def make(self):
    seen.append(len(sys.modules) and [*ipkernel.sys.modules.copy().values()])
    self._kernel_modules = []
    self.debugger = types.SimpleNamespace(kernel_modules=self._kernel_modules)
    import wave
ipkernel.IPythonKernel = type("Kernel", (), {"__init__": make})
forked.list_modules_later()
import colorsys
kernel = ipkernel.IPythonKernel()
import csv
files = kernel.debugger.kernel_modules
expected = {each.__file__ for each in [*held.values(), colorsys] if getattr(each, "__file__", None)}
print(set(files) == expected, seen, ipkernel.sys is sys, type(files) is list, files is kernel._kernel_modules)
"""
    assert run(code) == "True [[]] True True True\n"
