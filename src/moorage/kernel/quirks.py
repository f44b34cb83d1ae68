"""What particular kernels need beside the protocol, known by the implementation they say they are.

Each was met in a real kernel; docs/reference/kernels-tried.md has what every one of them can do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from moorage.kernel.published import Counts, Numbers, Published
from moorage.kernel.trail import Trail
from moorage.launch.spawned import starts_application
from moorage.rendezvous.choice import is_ipykernel

InterruptMode = Literal["signal", "message"]

# Kernels that have published all output of a request before they say idle, by how their ``implementation``
# begins. Of others nobody knows: deno, evcxr and more read what was printed from a pipe, in their own time.
_IN_ORDER = ("ipython", "xeus", "irkernel", "ark")

# What prints a mark, by the way that everything else printed takes.
_MARKS = {"Deno kernel": "console.log('{}')"}

# Their kernelspecs ask for a signal, of which they die; the message is what they know (deno issue 24491).
_BY_MESSAGE = frozenset({"Deno kernel"})

# xeus sets a handler of its own behind Python's back, which ends the process (xeus issue 272). As in
# ipykernel, Python's handler shall stand while a cell runs, and none between cells: it would end xeus's loop.
# Raw mode tells nobody of cells: the handler stands always there, and raises where Python code runs.
# Its publisher drops output on a busy machine, and its socket is out of Python's reach: what is published is
# counted, in a place where only the question below looks.
_XEUS_PYTHON = """
import signal, sys, threading
shell, stream, lock, published = get_ipython(), type(sys.stdout), threading.Lock(), [0, 0]
if events := getattr(shell, "events", None):
    events.register("pre_execute", lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    events.register("post_execute", lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
else:
    signal.signal(signal.SIGINT, lambda *told: signal.default_int_handler(*told) if told[1] else None)
def counted(publish, which, amount):
    def publish_and_count(*arguments, **options):
        result = publish(*arguments, **options)
        with lock:
            published[which] += amount(*arguments)
        return result
    publish_and_count.published = published
    return publish_and_count
if events and isinstance(getattr(stream, "write", None), property):
    write = stream.write.fget
    stream.write = property(lambda self: counted(write(self), 0, len))
    shell.display_pub.publish_display_data = counted(shell.display_pub.publish_display_data, 1, lambda *_: 1)
"""

# The socket of IRkernel's publisher is a field of the kernel, which is a variable of the outermost function.
_IRKERNEL = """local(for (frame in sys.frames()) if (inherits(frame$kernel, "Kernel")) try(
    pbdZMQ::zmq.setsockopt(frame$kernel$sockets$iopub, pbdZMQ::ZMQ.SO()$SNDHWM, 0L), silent = TRUE))"""

_PREPARATIONS = {
    "xeus-python": f"exec({_XEUS_PYTHON!r}, {{'get_ipython': get_ipython}})",
    "IRkernel": _IRKERNEL,
}

# An expression for what a kernel has published so far, where its preparation counts that.
_PUBLISHED = {"xeus-python": "tuple(get_ipython().display_pub.publish_display_data.published)"}


def built_on_ipykernel(argv: Sequence[str], info: Mapping[str, Any]) -> bool:
    """Tell whether a kernel is ipykernel or built on it, whatever its command is.

    Args:
        argv: its kernelspec's command.
        info: its ``kernel_info_reply``. Subshells are ipykernel's own: nothing else says that it has them.
    """
    features = info.get("supported_features")
    subshells = isinstance(features, list) and "kernel subshells" in features
    return subshells or info.get("implementation") == "ipython" or is_ipykernel(argv)


def interrupt_mode(stated: InterruptMode, info: Mapping[str, Any]) -> InterruptMode:
    """Return how a kernel is to be interrupted.

    Args:
        stated: what its kernelspec says.
        info: its ``kernel_info_reply``.
    """
    return "message" if info.get("implementation") in _BY_MESSAGE else stated


def trail(argv: Sequence[str], info: Mapping[str, Any]) -> Trail | None:
    """Return how to find the end of what a kernel publishes of a request that it has answered already.

    Args:
        argv: its kernelspec's command.
        info: its ``kernel_info_reply``.

    Returns:
        None for kernels that publish everything before they say idle.
    """
    named = str(info.get("implementation"))
    # What is built on ipykernel may carry what a program prints by a way of its own, unless it is known.
    if named.lower().startswith(_IN_ORDER) or is_ipykernel(argv):
        return None
    return Trail(_MARKS.get(named, ""))


def preparation(info: Mapping[str, Any]) -> str | None:
    """Return code to run, silently, in a kernel that has just started; None for most.

    Args:
        info: its ``kernel_info_reply``.
    """
    return _PREPARATIONS.get(str(info.get("implementation")))


def published(argv: Sequence[str], info: Mapping[str, Any]) -> Published | None:
    """Return what finds out whether all that a kernel published has arrived.

    Args:
        argv: its kernelspec's command.
        info: its ``kernel_info_reply``.

    Returns:
        None for kernels whose publisher drops nothing: those started so, and those prepared so.
    """
    named = str(info.get("implementation"))
    if starts_application(argv) or named == "IRkernel":
        return None
    return Counts(_PUBLISHED[named]) if named in _PUBLISHED else Numbers()


def arguments(words: Sequence[str]) -> str:
    """Return code that gives a Python kernel's ``sys.argv`` these words, and leaves no name behind."""
    return f"__import__('sys').argv[:] = {[*words]!r}"
