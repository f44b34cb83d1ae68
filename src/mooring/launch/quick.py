"""What a forked ipykernel does more quickly, and loses less: its display messages.

ipykernel waits twice for its printing thread before each display message and each result, so that they come
after what was printed before. Order alone needs no waiting: all of it goes through one queue. That makes it
more than twice as fast. And where it publishes faster than its clients read, ZeroMQ drops what is beyond a
thousand messages; here they wait in memory instead.

Loaded by the zygote by its path, without the package; ipykernel of another shape is left as it is.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_WAITING = 1000
"""Messages that may wait for the printing thread before their maker waits too."""


def quicken() -> bool:
    """Change the imported ipykernel; return False where it does not look as known, and stays as it is."""
    from ipykernel import displayhook, iostream, kernelapp, zmqshell  # noqa: PLC0415 - the kernels' interpreter has it

    application, hook = kernelapp.IPKernelApp, displayhook.ZMQShellDisplayHook
    publisher, thread = zmqshell.ZMQDisplayPublisher, iostream.IOPubThread
    known = (
        hasattr(publisher, "_flush_streams")
        and hasattr(thread, "schedule")
        and hasattr(application, "_try_bind_socket")
        and hook.finish_displayhook.__code__.co_names[:3] == ("sys", "stdout", "flush")
        and "_buffers" in iostream.OutStream.write.__code__.co_names
    )
    if known:
        publisher._flush_streams = lambda _: flush_in_order()  # noqa: SLF001 - the one place to change
        displayhook.sys = Streams()
        keep_all(application)
    return known


def flush_in_order() -> None:
    """Have what was printed so far published before what is published next."""
    stream: Any  # an OutStream, unless somebody put another in its place
    for stream in (sys.stdout, sys.stderr):
        thread: Any = getattr(stream, "pub_thread", None)
        events = getattr(thread, "_events", None)
        if events is None or len(events) > MOST_WAITING:
            stream.flush()
        elif stream._buffers:  # noqa: SLF001 - the state that flush() looks at in its own time
            thread.schedule(stream._flush)  # noqa: SLF001 - what flush() schedules


class Streams:
    """Stands for ``sys`` in ipykernel's displayhook, whose only use of it is to flush both streams."""

    class _Stream:
        def flush(self) -> None:
            flush_in_order()

    stdout = _Stream()
    stderr = _Stream()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def keep_all(application: Any) -> None:
    """Let no message to a slow client be dropped: the socket's limit has to be gone before it is bound."""
    bind = application._try_bind_socket  # noqa: SLF001 - the one place to change

    def bind_unbounded(self: Any, socket: Any, port: int) -> Any:
        if socket.type == sys.modules["zmq"].XPUB:
            socket.sndhwm = 0
        return bind(self, socket, port)

    application._try_bind_socket = bind_unbounded  # noqa: SLF001 - the one place to change
