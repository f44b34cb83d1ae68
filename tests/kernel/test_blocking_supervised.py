"""Without async: what launched and attached kernels have in common."""

from __future__ import annotations

import threading

from moorage.kernel import blocking
from moorage.plan.lifecycle import Exited


def test_subscribers_are_told_in_a_thread_of_moorages():
    with blocking.launch("python3") as kernel, blocking.attach(kernel.connection_file) as attached:
        told, ended = [], threading.Event()

        def tell(status):
            told.append((type(status), threading.current_thread().name))
            if isinstance(status, Exited):
                ended.set()

        attached.subscribe(tell)
        deaf = []
        unsubscribe = kernel.subscribe(deaf.append)
        unsubscribe()
        unsubscribe()
        kernel.shutdown(at_once=True)
        assert ended.wait(60)
    assert told[-1] == (Exited, "moorage")
    assert deaf == []
