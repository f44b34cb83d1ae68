"""What a forked ipykernel does more quickly, and loses less: its messages to everybody.

ipykernel waits twice for its printing thread before each display message, each result, each reply and each
idle, so that they come after what was printed before, and naps before each reply in case that was not enough.
Order alone needs no waiting: all of it goes through one queue, into which whoever publishes puts what was
printed so far himself, be it in a buffer or still in the pipe behind a descriptor. That makes displays more
than twice as fast, a small cell one and a half times, and what C code writes is never late. And where it
publishes faster than its clients read, ZeroMQ drops what is beyond a thousand messages; here they wait in
memory instead.

Loaded by the zygote by its path, without the package; ipykernel of another shape is left as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import select
import sys
import termios
import threading
import time

assert sys.platform == "linux", "zygotes need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

MOST_WAITING = 1000
"""Messages that may wait for the printing thread before their maker waits too."""
NAP = 0.0005
"""Seconds that ipykernel sleeps before each reply, unless it is told otherwise."""


def quicken() -> bool:
    """Change the imported ipykernel; return False where it does not look as known, and stays as it is."""
    from ipykernel import (  # noqa: PLC0415 - the kernels' interpreter has it
        displayhook,
        iostream,
        ipkernel,
        kernelapp,
        kernelbase,
        zmqshell,
    )

    application, hook = kernelapp.IPKernelApp, displayhook.ZMQShellDisplayHook
    publisher, thread = zmqshell.ZMQDisplayPublisher, iostream.IOPubThread
    known = (
        hasattr(publisher, "_flush_streams")
        and hasattr(thread, "schedule")
        and hasattr(application, "_try_bind_socket")
        and {"_flush", "_flush_buffers", "_is_master_process"} <= vars(iostream.OutStream).keys()
        and hook.finish_displayhook.__code__.co_names[:3] == ("sys", "stdout", "flush")
        and "_buffers" in iostream.OutStream.write.__code__.co_names
        and {"_fid", "_should_watch", "_original_stdstream_copy"}
        <= set(iostream.OutStream._watch_pipe_fd.__code__.co_names)  # noqa: SLF001 - the one place to change
        and {"_execute_sleep", "_input_request"} <= vars(kernelbase.Kernel).keys()
        and {"sys", "time"} <= vars(kernelbase).keys()
    )
    if known:
        order = Order()
        publisher._flush_streams = lambda _: order.flush()  # noqa: SLF001 - the one place to change
        displayhook.sys = kernelbase.sys = Streams(order.flush)
        kernelbase.time = Clock()
        keep_streams(kernelbase.Kernel)
        show_before_asking(kernelbase.Kernel)
        order.keep_in(iostream.OutStream)
        keep_all(application)
        if "_kernel_modules" in ipkernel.IPythonKernel.__init__.__code__.co_names:
            list_modules_later(ipkernel)
    return known


class Order:
    """Has what was printed so far published before what is published next, without waiting for that.

    What is printed waits in a buffer of its stream; now and then the printing thread empties it. Taking from
    a buffer and putting into the queue has to be one step for all threads, and nobody may wait in it: the
    printing thread is the one that empties the queue. What C code and children write waits in a pipe, and a
    thread moves it into the buffer: one step as well.
    """

    def __init__(self) -> None:
        self._streams: Any = None
        self._wait: Any = None
        os.register_at_fork(after_in_child=self._renew)
        self._renew()

    def _renew(self) -> None:
        # A thread that the fork does not have may hold them.
        self._lock, self._moving = threading.RLock(), threading.RLock()

    def keep_in(self, streams: Any) -> None:
        """Make what the threads of such streams do one step each, too."""
        self._streams, self._wait = streams, streams.flush
        flush = streams._flush  # noqa: SLF001 - the one place to change

        def flush_in_one_step(stream: Any) -> None:
            with self._lock:
                flush(stream)

        def watch(stream: Any) -> None:
            self._watch(stream)

        streams._flush = flush_in_one_step  # noqa: SLF001 - the one place to change
        streams._watch_pipe_fd = watch  # noqa: SLF001 - the one place to change

    def flush(self) -> None:
        """Do so for both streams."""
        stream: Any  # an OutStream, unless somebody put another in its place
        for stream in (sys.stdout, sys.stderr):
            if stream is None:
                continue
            if not self._usual(stream) or len(stream.pub_thread._events) > MOST_WAITING:  # noqa: SLF001 - as schedule() does
                stream.flush()
                continue
            self._move(stream)
            if self._put(stream, stream.pub_thread):
                stream.pub_thread._event_pipe.send(b"")  # noqa: SLF001 - what schedule() does next, but not in this step

    def _usual(self, stream: Any) -> bool:
        """Whether this is a kernel's own stream in that kernel, and somebody empties its queue."""
        return (
            isinstance(stream, self._streams)
            and type(stream).flush is self._wait
            and hasattr(stream.pub_thread, "_events")
            and stream.echo is None
            and stream._is_master_process()  # noqa: SLF001 - as write() asks
            and stream.pub_thread.thread.is_alive()
        )

    def _put(self, stream: Any, thread: Any) -> bool:
        queue = Queue(thread)
        with self._lock:
            for parent, text in stream._flush_buffers():  # noqa: SLF001 - as _flush() does
                if text:
                    content = {"name": stream.name, "text": text}
                    message = stream.session.msg("stream", content, parent=parent)
                    stream.session.send(queue, message, ident=stream.topic)
        return queue.filled

    def _watch(self, stream: Any) -> None:
        """Move what is written to a stream's descriptor into its buffer, until the stream is closed."""
        if stream._fid is None:  # noqa: SLF001 - in place of OutStream's own
            return
        poll = select.poll()
        poll.register(stream._fid, select.POLLIN)  # noqa: SLF001 - in place of OutStream's own
        try:
            while poll.poll()[0][1] & select.POLLIN and stream._should_watch:  # noqa: SLF001 - in place of OutStream's own
                self._move(stream)
        except Exception:  # noqa: BLE001 - boundary: where OutStream's own keeps it, too
            stream._exc = sys.exc_info()  # noqa: SLF001 - in place of OutStream's own

    def _move(self, stream: Any) -> None:
        if not stream._should_watch:  # noqa: SLF001 - in place of OutStream's own
            return
        moved = b""
        with self._moving:
            told = fcntl.ioctl(stream._fid, termios.FIONREAD, bytes(4))  # noqa: SLF001 - in place of OutStream's own
            if count := int.from_bytes(told, sys.byteorder):
                moved = os.read(stream._fid, count)  # noqa: SLF001 - in place of OutStream's own
                stream.write(moved.decode(errors="replace"))
        if moved:
            with contextlib.suppress(OSError):  # whoever read it has gone; the client has it all the same
                os.write(stream._original_stdstream_copy, moved)  # noqa: SLF001 - in place of OutStream's own


class Queue:
    """Takes messages for the printing thread to send."""

    def __init__(self, thread: Any) -> None:
        self._thread = thread
        self.filled = False

    def send_multipart(self, message: Any, **options: Any) -> None:
        """Put one there; it is sent when the thread is woken."""
        self.filled = True
        self._thread._events.append(lambda: self._thread._really_send(message, **options))  # noqa: SLF001 - as send_multipart() does


class Streams:
    """Stands for ``sys`` in modules of ipykernel whose use of its streams is to flush both."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._stdout = Stream("stdout", flush)
        self._stderr = Stream("stderr", lambda: flush() if sys.stdout is None else None)

    @property
    def stdout(self) -> Stream | None:
        """Flushing this one does both."""
        return None if sys.stdout is None else self._stdout

    @property
    def stderr(self) -> Stream | None:
        """Flushing this one does nothing more, unless it is alone."""
        return None if sys.stderr is None else self._stderr

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


class Stream:
    """One of them, which is as whatever stream is there now but for its flushing."""

    def __init__(self, name: str, flush: Callable[[], None]) -> None:
        self._name = name
        self.flush = flush

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(sys, self._name), name)


class Clock:
    """Stands for ``time`` where ipykernel naps before its replies."""

    def sleep(self, seconds: float) -> None:
        """Sleep if somebody configured that."""
        if seconds != NAP:
            time.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def keep_streams(kernels: Any) -> None:
    """Let a kernel that keeps its streams keep the real ones."""
    make = kernels.__init__

    def make_with_streams(self: Any, **options: Any) -> None:
        make(self, **options)
        self._stdout, self._stderr = sys.stdout, sys.stderr

    kernels.__init__ = make_with_streams


def show_before_asking(kernels: Any) -> None:
    """Have what was printed on its way before somebody is asked for input: that goes another way."""
    ask = kernels._input_request  # noqa: SLF001 - the one place to change

    def ask_then(self: Any, *arguments: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        return ask(self, *arguments, **options)

    kernels._input_request = ask_then  # noqa: SLF001 - the one place to change


def keep_all(application: Any) -> None:
    """Let no message to a slow client be dropped: the socket's limit has to be gone before it is bound."""
    bind = application._try_bind_socket  # noqa: SLF001 - the one place to change

    def bind_unbounded(self: Any, socket: Any, port: int) -> Any:
        if socket.type == sys.modules["zmq"].XPUB:
            socket.sndhwm = 0
        return bind(self, socket, port)

    application._try_bind_socket = bind_unbounded  # noqa: SLF001 - the one place to change


class Modules:
    """What a debugger shall not step into: the files of the modules that a kernel had when it was made.

    ipykernel lists them then, which writes to each module, its name and its file; that copies 400 pages, a
    tenth of all that a fork copies. Here they are listed when a debugger asks.
    """

    def __init__(self, held: list[Any], count: int) -> None:
        newer = itertools.islice(reversed(sys.modules.values()), max(0, len(sys.modules) - count))
        self._modules = (held, [sys.modules["__main__"], *newer])

    def __iter__(self) -> Iterator[str]:
        for module in itertools.chain(*self._modules):
            if file := getattr(module, "__file__", None):
                yield file


class NoModules:
    """Stands for ``sys`` in the module of ipykernel that lists them."""

    modules: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(sys, name, value)


def list_modules_later(ipkernel: Any) -> None:
    """Let a kernel list its modules when its debugger wants to know."""
    held = [module for name, module in sys.modules.items() if name != "__main__"]
    count = len(sys.modules)
    make = ipkernel.IPythonKernel.__init__

    def make_without(self: Any, **options: Any) -> None:
        modules = Modules(held, count)
        make(self, **options)
        self._kernel_modules = modules
        if getattr(self, "debugger", None) is not None:
            self.debugger.kernel_modules = modules

    ipkernel.IPythonKernel.__init__ = make_without
    ipkernel.sys = NoModules()
