"""What was printed so far takes its place in the queue of ipykernel's printing thread, and waits for nothing.

Taking from a stream's buffer and putting into the queue is one step. What is taken is made into messages and
sent in its turn, by the printing thread: there hooks are called, and text that cannot be sent fails there,
never in a user's ``print``.

Loaded by its path into spawned kernels by ``spawned.py`` and into forked ones by ``forked.py``;
moorage is not installed in each of their interpreters.

Source: ``OutStream._flush`` and ``IOPubThread.schedule`` of ipykernel.
"""
# ruff: noqa: SLF001 - it stands for a stream of ipykernel; only a kernel's interpreter has one

from __future__ import annotations

import logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def missing(streams: Any, threads: Any) -> set[str]:
    """Return what is needed here that ipykernel does not have.

    Args:
        streams: its ``OutStream``.
        threads: its ``IOPubThread``.
    """
    held: dict[str, Any] = dict(vars(streams))
    needed = {"_flush", "_flush_buffers", "_rotate_buffers", "_is_master_process"}
    lacking: set[str] = needed - held.keys()
    if not lacking:
        lacking |= {"_buffers", "_buffer_lock"} - set(held["_rotate_buffers"].__code__.co_names)
    lacking |= {"_events", "_event_pipe"} - set(threads.schedule.__code__.co_names)
    lacking |= {"_really_send"} - vars(threads).keys()
    return lacking


def usual(stream: Any, thread: Any) -> bool:
    """Whether a stream is open, in the process that made it, and something empties its queue."""
    return (
        hasattr(thread, "_events")
        and stream._is_master_process()
        and thread.thread is not None
        and thread.thread.is_alive()
    )


def take(stream: Any, thread: Any, publish: Callable[[Any], None], lock: Any) -> Taken | None:
    """Put what was printed so far into the queue, and return it; the thread still has to be woken.

    Args:
        stream: where it was printed.
        thread: the one that empties the queue.
        publish: the stream's own function for that.
        lock: held by the caller.
    """
    if not stream._buffers:
        return None
    taken = Taken(stream, thread, publish, lock)
    empty = stream._buffers.copy()
    empty.clear()
    thread._events.append(taken)
    with stream._buffer_lock:
        # No call between the two: an interrupt here would lose what was printed.
        taken.buffers, stream._buffers = stream._buffers, empty
    return taken


class Taken:
    """What was taken from a stream: it has its place in the queue, and stands for the stream when published.

    Args:
        stream: where it was printed.
        thread: the one that empties the queue.
        publish: the stream's own function for that.
        lock: held until ``buffers`` are what was taken.
    """

    def __init__(self, stream: Any, thread: Any, publish: Callable[[Any], None], lock: Any) -> None:
        self._stream, self._thread, self._publish, self._filling = stream, thread, publish, lock
        self._messages: list[Any] | None = None
        self.buffers: dict[Any, Any] = {}
        self.pub_thread = self

    def __call__(self) -> None:
        """Send it: its turn has come."""
        for message, arguments, options in self.make():
            self._thread._really_send(message, *arguments, **options)

    def make(self) -> list[Any]:
        """Return the messages, made once; what cannot be made is told."""
        if self._messages is None:
            self._messages = []
            try:
                self._publish(self)
            except Exception:  # boundary: as ZMQStream does, but the rest of the queue does not wait
                logging.getLogger("tornado.general").exception("Uncaught exception in ZMQStream callback")
        return self._messages

    def send_multipart(self, message: Any, *arguments: Any, **options: Any) -> None:
        """Keep a message until its turn comes."""
        self.make().append((message, arguments, options))

    def sendable(self) -> bool:
        """Whether all of it can be sent; half of a surrogate pair cannot."""
        texts = [one.getvalue() for one in self.buffers.values()]
        try:
            return all(text.isascii() or bool(text.encode()) for text in texts)
        except UnicodeEncodeError:
            return False

    def _rotate_buffers(self) -> Any:
        with self._filling:
            return self.buffers

    def _flush_buffers(self) -> Any:
        return type(self._stream)._flush_buffers(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
