"""An event of ipykernel's printing thread that raises costs no other event.

What a kernel publishes are events in a queue, and each event sends a byte to the thread that handles them. In
ipykernel as it is, an event that raises, such as printed text that cannot be encoded, ends the handling of
the byte before the stream has looked for the next byte. What is queued then waits for a wake-up that only
another thread can send, and a cell's idle may never come. Here the error is told as before, and the rest of
the queue is handled.

Loaded by its path into spawned and forked kernels alike; moorage is not installed in each of their
interpreters.

Source: ``IOPubThread._handle_event`` of ipykernel, ``ZMQStream._handle_events`` of pyzmq.
"""

import functools
import logging


def keep_going() -> None:
    """Handle all events of the queue whatever one of them raises. Called again, it changes nothing.

    Raises:
        AttributeError, ImportError, KeyError: ipykernel is not as known, and as it was.
    """
    from ipykernel.iostream import IOPubThread  # noqa: PLC0415 - loaded before ipykernel in some kernels

    handle = vars(IOPubThread)["_handle_event"]
    if getattr(handle, "keeps_going", False):
        return
    if missing := {"_events", "popleft"} - set(handle.__code__.co_names):
        raise AttributeError(f"no {', '.join(sorted(missing))}")

    @functools.wraps(handle)
    def handle_events(self, message):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001 - ipykernel has no types
        for _ in range(len(self._events)):
            try:
                self._events.popleft()()
            except Exception:  # boundary: told as ZMQStream does, once for each
                logging.getLogger("tornado.general").exception("Uncaught exception in ZMQStream callback")

    handle_events.keeps_going = True  # type: ignore[attr-defined]  # a mark on a function
    IOPubThread._handle_event = handle_events  # noqa: SLF001 - what the stream calls
