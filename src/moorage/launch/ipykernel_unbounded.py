"""A configuration file that every spawned ipykernel reads: no output is dropped, and its order is kept.

ZeroMQ's publishers drop what is beyond a thousand unsent messages, and a kernel on a busy machine prints more
than that before its sending thread gets a processor. The limit has to be gone before the socket is bound:
a socket that listens gives it to every later connection. IPython executes its configuration files before
that, in every interpreter, whether moorage is installed there or not.

What is printed to stdout and stderr waits in a buffer each; here a buffer is published before the other one
gets more, so that both arrive in the order in which they were written.

Forked kernels get the same from :mod:`moorage.launch.quick`.

Source: ``BaseIPythonApplication.extra_config_file`` (``--config``), and ZMQ_SNDHWM in zmq_setsockopt(3).
"""

import functools
import sys

from ipykernel.iostream import OutStream
from ipykernel.kernelapp import IPKernelApp


def keep_all() -> None:
    """Lift the limit of the publishing socket just before it is bound. Called again, it changes nothing."""
    bind = IPKernelApp._try_bind_socket  # noqa: SLF001 - the last step before the socket listens
    if getattr(bind, "unbounded", False):
        return  # IPython executes the file once for every folder it looks for configuration in

    def bind_unbounded(self, socket, port):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - ipykernel has no types
        zmq = sys.modules["zmq"]
        if socket.type in (zmq.PUB, zmq.XPUB):
            socket.sndhwm = 0
        return bind(self, socket, port)

    bind_unbounded.unbounded = True  # type: ignore[attr-defined]  # a mark on a function
    IPKernelApp._try_bind_socket = bind_unbounded  # noqa: SLF001 - the last step before the socket listens


def keep_order() -> None:
    """Publish what one stream holds before another gets more. Called again, it changes nothing."""
    write = OutStream.write
    last: list[OutStream] = []
    if getattr(write, "ordered", False):
        return

    @functools.wraps(write)
    def write_in_order(self, string):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - ipykernel has no types
        before = last[0] if last else self
        if before is not self and before._is_master_process() and before.pub_thread.thread.is_alive():  # noqa: SLF001 - as write() asks
            before._flush()  # noqa: SLF001 - puts it into the queue of the sending thread and waits for nothing
        last[:] = [self]
        return write(self, string)

    write_in_order.ordered = True  # type: ignore[attr-defined]  # a mark on a function
    OutStream.write = write_in_order


if hasattr(IPKernelApp, "_try_bind_socket"):
    keep_all()
if {"_flush", "_is_master_process"} <= vars(OutStream).keys():
    keep_order()
# The kernel's user sees the command line of the kernelspec.
sys.argv[:] = [word for word in sys.argv if word != f"--config={__file__}"]
