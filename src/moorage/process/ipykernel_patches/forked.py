"""What a forked ipykernel does more quickly, and loses less: its messages to all clients.

ipykernel waits twice for its printing thread before each display, result, reply and idle, so that they come
after what was printed before, and naps before each reply in case that was not enough. Order alone needs no
waiting: all goes through one queue, into which the thread that publishes puts what was printed so far, be it
in a buffer or still in the pipe behind a descriptor. Displays are twice as fast, small cells one and a half
times, and what C code writes is never late. Where it publishes faster than its clients read, ZeroMQ drops
what is beyond a thousand messages; here they wait.

Only ipykernel's own flushes do not wait. User code that flushes does, and so does all that could be noticed:
hooks, echoes, text that cannot be sent. ipykernel's own code makes the messages, in the printing thread.
Loaded by the template by its path; what an ipykernel of another shape lacks is left as it is, and told.
"""
# ruff: noqa: SLF001, PLC0415 - the one place that changes ipykernel from within; only a kernel's interpreter has it

from __future__ import annotations

import contextlib
import contextvars
import fcntl
import functools
import itertools
import os
import select
import sys
import termios
import threading
import time
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType

assert sys.platform == "linux", "templates need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process.ipykernel_patches import queued_output
else:
    _file = os.path.join(os.path.dirname(__file__), "queued_output.py")  # noqa: PTH118, PTH120 - see the template
    _loader = SourceFileLoader("moorage_queued_output", _file)
    queued_output = ModuleType(_loader.name)
    _loader.exec_module(queued_output)

MOST_WAITING = 1000
"""Messages that may wait for the printing thread before their maker waits too."""
NAP = 0.0005
"""Seconds that ipykernel sleeps before each reply, unless it is told otherwise."""
PIECE = 4096  # bytes that a pipe takes without waiting once poll(2) says that it takes any, see pipe(7)


def patch() -> list[str]:
    """Change the imported ipykernel; return what was left as it is, each with the reason."""
    left = []
    for change in (publish_in_order, nap_no_more, keep_all, list_modules_later):
        try:
            change()
        except (AttributeError, ImportError, KeyError, TypeError) as error:
            left.append(f"{change.__name__}: {type(error).__name__}: {error}")
    return left


def publish_in_order() -> None:
    """Let no message wait for what was printed before it, and none overtake it.

    Raises:
        AttributeError, ImportError, KeyError: ipykernel is not as known, and as it was.
    """
    from ipykernel import displayhook, iostream, kernelbase, zmqshell

    kernel = vars(kernelbase.Kernel)
    Order(
        each.__code__
        for each in (
            vars(zmqshell.ZMQDisplayPublisher)["_flush_streams"],
            vars(displayhook.ZMQShellDisplayHook)["finish_displayhook"],
            *(kernel[name] for name in ("execute_request", "dispatch_shell", "process_control")),
        )
    ).keep_in(iostream.OutStream, iostream.IOPubThread)


class Order:
    """Has what was printed so far published before what is published next, without waiting for that.

    What is printed waits in a buffer of its stream; now and then the printing thread empties it. Taking from
    a buffer and putting into the queue is one step for all threads, in which nothing can wait: the printing
    thread is the one that empties the queue. What C code and children write waits in a pipe, and a thread
    moves it into the buffer: one step as well.

    Args:
        flushing: code that flushes only so that what it publishes next comes after what was printed.
    """

    def __init__(self, flushing: Iterable[CodeType]) -> None:
        self._flushing = frozenset(flushing)
        self._wait: Any = None
        self._publish: Any = None
        self._last: Any = None
        os.register_at_fork(after_in_child=self._renew)
        self._renew()

    def _renew(self) -> None:
        # A thread that the fork does not have may hold them.
        self._lock, self._moving = threading.RLock(), threading.RLock()

    def keep_in(self, streams: Any, threads: Any) -> None:
        """Change how the streams of a class flush, publish and watch a descriptor.

        Args:
            streams: ipykernel's ``OutStream``.
            threads: its ``IOPubThread``.

        Raises:
            AttributeError, KeyError: they are not as known, and as they were.
        """
        held = vars(streams)
        self._wait, self._publish, write = held["flush"], held["_flush"], held["write"]
        watch, register = held["_watch_pipe_fd"], held["register_hook"]
        missing = queued_output.missing(streams, threads)
        missing |= {"_fid", "_should_watch", "_original_stdstream_copy"} - set(watch.__code__.co_names)
        if missing:
            raise AttributeError(f"no {', '.join(sorted(missing))}")

        @functools.wraps(self._wait)
        def flush(stream: Any) -> None:
            self.flush(stream, at_once=sys._getframe(1).f_code in self._flushing)

        @functools.wraps(self._publish)
        def publish(stream: Any) -> None:
            self._publish_now(stream)

        @functools.wraps(watch)
        def watch_descriptor(stream: Any) -> None:
            self._watch(stream)

        @functools.wraps(register)
        def register_hook(stream: Any, hook: Any) -> None:
            stream._hooked = True
            register(stream, hook)

        streams.flush, streams._flush, streams.write = flush, publish, self._written(write)
        streams._watch_pipe_fd, streams.register_hook = watch_descriptor, register_hook

    def _written(self, write: Any) -> Any:
        @functools.wraps(write)
        def write_in_order(stream: Any, string: str) -> Any:
            if self._last is not stream:
                self._switch(stream)
            try:
                return write(stream, string)
            except Exception as error:
                error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
                raise  # without this frame

        return write_in_order

    def _switch(self, stream: Any) -> None:
        """Have what was printed to another stream published before what is printed to this one."""
        before, self._last = self._last, stream
        if before is not None and queued_output.usual(before, before.pub_thread):
            self._publish_now(before)

    def flush(self, stream: Any, *, at_once: bool) -> None:
        """Have what was printed so far published before what is published next.

        Args:
            stream: where it was printed.
            at_once: do not wait for it, unless that could be noticed.
        """
        thread = stream.pub_thread
        if not queued_output.usual(stream, thread) or thread.thread is threading.current_thread():
            self._wait(stream)
            return
        self._move_what_is_there(stream)
        with self._lock:
            taken = queued_output.take(stream, thread, self._publish, self._lock)
            plain = (
                stream.echo is None and not hasattr(stream, "_hooked") and (taken is None or taken.sendable())
            )
        if not at_once or not plain or len(thread._events) > MOST_WAITING:
            self._wait(stream)
        elif taken is not None:
            thread._event_pipe.send(b"")

    def _publish_now(self, stream: Any) -> None:
        """Publish what was printed so far, after what is in the queue: in place of OutStream's own."""
        thread = stream.pub_thread
        if not queued_output.usual(stream, thread):
            self._publish(stream)
            return
        stream._flush_pending = False
        with self._lock:
            taken = queued_output.take(stream, thread, self._publish, self._lock)
        if taken is None:
            if stream.echo is not None:
                queued_output.Taken(stream, thread, self._publish, self._lock).make()
            return
        if thread.thread is threading.current_thread():
            taken.make()  # its hooks may change before its turn comes
        thread._event_pipe.send(b"")

    def _watch(self, stream: Any) -> None:
        """Move what is written to a stream's descriptor into its buffer, until the stream is closed."""
        if stream._fid is None:
            return
        poll = select.poll()
        try:
            poll.register(stream._fid, select.POLLIN)
            while poll.poll()[0][1] & select.POLLIN and stream._should_watch:
                self._move(stream, unread(stream._fid))
        except Exception:  # noqa: BLE001 - boundary: where OutStream's own keeps it, too
            stream._exc = sys.exc_info()

    def _move_what_is_there(self, stream: Any) -> None:
        """Do so once, where that needs no waiting for a reader of the original descriptor."""
        if not stream._should_watch:
            return
        with contextlib.suppress(OSError), self._moving:  # what the watching thread has read is in the buffer
            count = unread(stream._fid)
            if count and takes(stream._original_stdstream_copy, count):
                self._move(stream, count)

    def _move(self, stream: Any, count: int) -> None:
        moved = b""
        with self._moving:
            if count := min(count, unread(stream._fid)):
                moved = os.read(stream._fid, count)
                # It belongs to the cell that runs, not to this thread's: as in the thread that watches.
                contextvars.Context().run(stream.write, moved.decode(errors="replace"))
        if moved:
            with contextlib.suppress(OSError):  # its reader has gone; the clients have it all the same
                os.write(stream._original_stdstream_copy, moved)


def unread(descriptor: int) -> int:
    """Return how many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)


def takes(descriptor: int, count: int) -> bool:
    """Whether so many bytes, at most as many as a pipe holds, can be written without waiting for a reader."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0)) and (count <= PIECE or unread(descriptor) == 0)


class Clock:
    """Stands for ``time`` where ipykernel naps before its replies."""

    def sleep(self, seconds: float) -> None:
        """Sleep if that was configured."""
        if seconds != NAP:
            time.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def nap_no_more() -> None:
    """Let no reply wait for what is in order anyway."""
    from ipykernel import kernelbase

    if "_execute_sleep" not in vars(kernelbase.Kernel) or vars(kernelbase).get("time") is not time:
        raise AttributeError("no Kernel._execute_sleep or no time")
    kernelbase.time = Clock()


def keep_all() -> None:
    """Let no message to a slow client be dropped: the socket's limit has to be gone before it is bound."""
    from ipykernel.kernelapp import IPKernelApp

    bind, zmq = vars(IPKernelApp)["_try_bind_socket"], sys.modules["zmq"]

    @functools.wraps(bind)
    def bind_unbounded(self: Any, socket: Any, port: int) -> Any:
        if socket.type in (zmq.PUB, zmq.XPUB):
            socket.sndhwm = 0
        return bind(self, socket, port)

    IPKernelApp._try_bind_socket = bind_unbounded


class NoModules:
    """Stands for ``sys`` in the module of ipykernel that lists them."""

    modules: dict[str, Any] = {}  # noqa: RUF012 - nothing writes to it

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def list_modules_later() -> None:
    """Have what a debugger shall not step into, the files of the modules so far, listed before the fork.

    ipykernel lists them when a kernel is made, which writes to each module, its name and its file; that
    copies 400 pages, a tenth of all that a fork copies.
    """
    from ipykernel import ipkernel

    kernel, count = vars(ipkernel)["IPythonKernel"], len(sys.modules)
    make = vars(kernel)["__init__"]
    if "_kernel_modules" not in make.__code__.co_names:
        return  # before 6.0 it listed none
    files = list_files(module for name, module in sys.modules.items() if name != "__main__")

    @functools.wraps(make)
    def make_without(self: Any, **options: Any) -> None:
        newer = itertools.islice(reversed(sys.modules.values()), max(0, len(sys.modules) - count))
        files.extend(list_files([sys.modules["__main__"], *newer]))
        ipkernel.sys = NoModules()
        try:
            make(self, **options)
        finally:
            ipkernel.sys = sys
        self._kernel_modules = files  # not its contents: that would write to each
        if getattr(self, "debugger", None) is not None:
            self.debugger.kernel_modules = files

    kernel.__init__ = make_without


def list_files(modules: Iterable[Any]) -> list[str]:
    """Return the files of modules that have one."""
    return [file for module in modules if (file := getattr(module, "__file__", None))]
