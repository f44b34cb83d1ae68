"""A port thief: binds port 0 in a loop, keeps each port briefly, and lets it go. Speaks to nobody.

    python thief.py HELD SECONDS

It keeps up to HELD ports bound and pauses SECONDS between two. On SIGTERM it prints how many it took and how
often there was none.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections import deque

held: deque[socket.socket] = deque()
most, pause = int(sys.argv[1]), float(sys.argv[2])
taken = refused = 0
running = True


def stop(*_: object) -> None:
    global running  # noqa: PLW0603 - a signal handler has no other way to say it
    running = False


signal.signal(signal.SIGTERM, stop)
while running:
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", 0))
    except OSError:
        refused += 1
        one.close()
    else:
        taken += 1
        held.append(one)
    if len(held) > most:
        held.popleft().close()
    time.sleep(pause)
print(f"{taken} ports taken, {refused} times none was free", flush=True)
