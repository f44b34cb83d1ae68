"""What servers take of the machine, each with all it has started: memory, descriptors by kind, limits."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from moorage.tasks import in_thread
from moorage.wire.temp_admin import OpenFiles

if sys.platform == "linux":
    from moorage.process import procfs

log = logging.getLogger("moorage.temp")

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

FRESH = 5.0
"""Seconds for which a figure holds: reading it takes a millisecond of the processor for each process."""
PATIENCE = 5.0
"""Seconds that a look is waited for: with hundreds of servers on a busy machine it takes a minute. What was
seen before is told then, and the look goes on."""
_KINDS = {"socket": "sockets", "pipe": "pipes"}
"""What the link of a descriptor in /proc begins with (proc(5)); what is neither and a path is a file."""


class ServerFigures(Generic[K, T]):
    """Looks at servers, not more often than every :data:`FRESH` seconds.

    Args:
        look: tells a figure by what a server is looked at by, its process id or the folders of its groups;
            None for what has ended or cannot be read.
    """

    def __init__(self, look: Callable[[K], T | None]) -> None:
        self._look = look
        self._known: dict[K, tuple[float, T | None]] = {}
        self._looking: asyncio.Future[dict[K, T | None]] | None = None

    def knows(self, keys: Collection[K]) -> bool:
        """Tell whether all of some servers have been looked at."""
        return all(key in self._known for key in keys)

    async def of(self, keys: Collection[K]) -> Mapping[K, T]:
        """Return the newest figure by what servers are looked at by; what cannot be read is left out.

        Args:
            keys: of servers, each told with all that it has started.

        Cancelling is safe.
        """
        self._known = {key: known for key, known in self._known.items() if key in keys}
        end, own = time.monotonic() + PATIENCE, False
        while not own and (old := self._old(keys)):
            looking = self._looking
            if looking is None:
                looking, own = self._begun(old), True
            done, _ = await asyncio.wait([looking], timeout=max(0.0, end - time.monotonic()))
            if not done:
                break
        return {key: figure for key, (_, figure) in self._known.items() if key in keys and figure is not None}

    def _old(self, keys: Collection[K]) -> list[K]:
        now = time.monotonic()
        return [key for key in keys if key not in self._known or now - self._known[key][0] > FRESH]

    def _begun(self, keys: Collection[K]) -> asyncio.Future[dict[K, T | None]]:
        """Begin to look at servers; what is seen is known from then on, be it waited for or not."""
        looking = in_thread(lambda: {key: self._look(key) for key in keys}, name="look at processes")
        self._looking = looking
        looking.add_done_callback(self._seen)
        return looking

    def _seen(self, looking: asyncio.Future[dict[K, T | None]]) -> None:
        self._looking = None
        if (error := looking.exception()) is not None:
            log.error("Processes cannot be looked at", exc_info=error)
            return
        now = time.monotonic()
        self._known |= {key: (now, figure) for key, figure in looking.result().items()}


def memory_of(pid: int) -> int | None:
    """Return the memory of a process and its descendants in bytes.

    Pages that processes share are divided among them, so that the sum is what all take together.
    """
    if sys.platform == "linux":
        return procfs.proportional(pid)
    else:  # noqa: RET505 - without it mypy looks for what is not there on other systems
        return None


def open_files_of(pid: int) -> OpenFiles | None:
    """Return the descriptors of a process and its descendants, by kind."""
    kinds: Counter[str] = Counter()
    known = False
    for one in _family(pid):
        try:
            found = [*Path(f"/proc/{one}/fd").iterdir()]
        except OSError:
            continue  # it has ended meanwhile, or belongs to another user
        known = True
        kinds.update(map(_kind, found))
    return OpenFiles(kinds["sockets"], kinds["pipes"], kinds["files"], kinds["others"]) if known else None


def _family(pid: int) -> list[int]:
    """Return a process and its descendants; none where the system does not tell."""
    if sys.platform == "linux":
        return [*procfs.family(pid)]
    else:  # noqa: RET505 - as above
        return []


def _kind(descriptor: Path) -> str:
    try:
        target = str(descriptor.readlink())
    except OSError:
        return "closed"  # meanwhile
    return "files" if target.startswith("/") else _KINDS.get(target.partition(":")[0], "others")
