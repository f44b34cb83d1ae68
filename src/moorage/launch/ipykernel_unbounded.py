"""A configuration file that every spawned ipykernel reads: no output is dropped or stuck, its order is kept.

ZeroMQ's publishers drop what is beyond a thousand unsent messages, and a kernel on a busy machine prints more
than that before its sending thread gets a processor. The limit has to be gone before the socket is bound:
a socket that listens gives it to every later connection. IPython executes its configuration files before
that, in every interpreter, whether moorage is installed there or not.

What is printed to stdout and stderr waits in a buffer each; here a buffer is published before the other one
gets more, so that both arrive in the order in which they were written.

Forked kernels get the same from :mod:`moorage.launch.quick`.

Source: ``BaseIPythonApplication.extra_config_file`` (``--config``), and ZMQ_SNDHWM in zmq_setsockopt(3).
"""

import contextlib
import functools
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from ipykernel.iostream import OutStream
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
    write = OutStream.write
    last: list[OutStream] = []
    if getattr(write, "ordered", False):
        return

    @functools.wraps(write)
    def write_in_order(self, string):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - ipykernel has no types
        before = last[0] if last else self
        last[:] = [self]
        thread = getattr(before.pub_thread, "thread", None)  # a stream that was closed has none
        if before is not self and thread is not None and before._is_master_process() and thread.is_alive():  # noqa: SLF001 - as write() asks
            before._flush()  # noqa: SLF001 - puts it into the queue of the sending thread and waits for nothing
        try:
            return write(self, string)
        except Exception as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
            raise  # without this frame: a user reads ipykernel's alone

    write_in_order.ordered = True  # type: ignore[attr-defined]  # a mark on a function
    OutStream.write = write_in_order


def keep_going() -> None:
    """Let no event that raises keep later ones waiting, where ipykernel is as known."""
    file = Path(__file__).with_name("ipykernel_events.py")
    loader = SourceFileLoader("moorage_ipykernel_events", str(file))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    with contextlib.suppress(AttributeError, KeyError):
        module.keep_going()


if hasattr(IPKernelApp, "_try_bind_socket"):
    keep_all()
if {"_flush", "_is_master_process"} <= vars(OutStream).keys():
    keep_order()
keep_going()
# The kernel's user sees the command line of the kernelspec.
for _words in (sys.argv, sys.orig_argv):
    _words[:] = [word for word in _words if word != _OWN]
