"""A configuration file that every spawned ipykernel reads: no output is dropped or stuck, its order is kept.

ZeroMQ's publishers drop what is beyond a thousand unsent messages, and a kernel on a busy machine prints more
than that before its sending thread gets a processor. The limit has to be gone before the socket is bound:
a socket that listens gives it to every later connection. IPython executes its configuration files before
that, in every interpreter, whether moorage is installed there or not.

What is printed to stdout and stderr waits in a buffer each; here a buffer takes its place in the queue of the
printing thread before the other one gets more, so that both arrive in the order in which they were written.
The thread makes the messages, as ever: there hooks are called, and text that cannot be sent fails there.

Forked kernels get the same from :mod:`moorage.process.ipykernel_patches.forked`.

Source: ``BaseIPythonApplication.extra_config_file`` (``--config``), and ZMQ_SNDHWM in zmq_setsockopt(3).
"""

import contextlib
import functools
import sys
import threading
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from ipykernel.iostream import IOPubThread, OutStream
from ipykernel.kernelapp import IPKernelApp

_OWN = f"--config={__file__}"


def keep_all() -> None:
    """Lift the limit of the publishing socket just before it is bound. Called again, it changes nothing."""
    bind = IPKernelApp._try_bind_socket  # noqa: SLF001 - the last step before the socket listens
    if getattr(bind, "unbounded", False):
        return  # IPython executes the file once for every folder it looks for configuration in

    def bind_unbounded(self, socket, port):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - ipykernel has no types
        forget_file(self)
        zmq = sys.modules["zmq"]
        if socket.type in (zmq.PUB, zmq.XPUB):
            socket.sndhwm = 0
        return bind(self, socket, port)

    bind_unbounded.unbounded = True  # type: ignore[attr-defined]  # a mark on a function
    IPKernelApp._try_bind_socket = bind_unbounded  # noqa: SLF001 - the last step before the socket listens


def forget_file(application) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - ipykernel has no types
    """Let an application show the command line and the configuration of its kernelspec: without this file."""
    application.argv = [word for word in application.argv if word != _OWN]
    for config in (application.config, application.cli_config):
        for name, section in list(config.items()):
            if section.get("extra_config_file") == __file__:
                del section["extra_config_file"]
                if not section:
                    del config[name]


def keep_order() -> None:
    """Publish what one stream holds before another gets more. Called again, it changes nothing."""
    write, taken = OutStream.write, load("queued_output")
    if getattr(write, "ordered", False) or taken.missing(OutStream, IOPubThread):
        return
    last: list[OutStream] = []
    lock = threading.RLock()

    def publish(stream: Any) -> None:
        thread = stream.pub_thread  # a stream that was closed has none
        if not taken.usual(stream, thread):
            return
        with lock:
            something = taken.take(stream, thread, type(stream)._flush, lock)  # noqa: SLF001 - as flush() does
        if something is not None:
            thread._event_pipe.send(b"")  # noqa: SLF001 - as schedule() does

    @functools.wraps(write)
    def write_in_order(self, string):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - ipykernel has no types
        before = last[0] if last else self
        last[:] = [self]
        if before is not self:
            publish(before)  # puts it into the queue of the sending thread and waits for nothing
        try:
            return write(self, string)
        except Exception as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise  # without this frame: a user reads ipykernel's alone

    write_in_order.ordered = True  # type: ignore[attr-defined]  # a mark on a function
    OutStream.write = write_in_order


def load(name: str) -> Any:
    """Load a file of this folder, in no list of modules: users may have one of that name."""
    loader = SourceFileLoader(f"moorage_{name}", str(Path(__file__).with_name(f"{name}.py")))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


if hasattr(IPKernelApp, "_try_bind_socket"):
    keep_all()
keep_order()
with contextlib.suppress(AttributeError, KeyError):
    load("events").keep_going()  # where ipykernel is as known
# The kernel's user sees the command line of the kernelspec.
for _words in (sys.argv, getattr(sys, "orig_argv", [])):  # from Python 3.10 on
    _words[:] = [word for word in _words if word != _OWN]
