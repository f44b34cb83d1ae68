"""Installed files that are the same for all visitors, in memory: JupyterLab's scripts, styles and fonts.

Most of them have a hash of what is in them in their names: one name means one content then, whichever server
it is asked of, and nothing else has to be known about that server. Other files are the server's own affair,
but for folders that say otherwise; browsers ask again for those each time.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import re
import stat
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from moorage.plan.file_answers import FileFacts
from moorage.regular import open_regular
from moorage.tasks import in_thread, result_of

HELD_BYTES = 64 << 20
"""So much is held in memory; JupyterLab's files are 17 MB, of which a page loads a third."""
LARGEST = 16 << 20
"""A larger file is left to the server."""
AT_ONCE = 2
"""So many files are read at once."""
_SEGMENT = r"[A-Za-z0-9@_~+-][A-Za-z0-9@._~+-]*"
_ANY_NAME = re.compile(rf"(?:{_SEGMENT}+/)*+{_SEGMENT}\.([a-z0-9]{{2,5}})")
_HASHED_NAME = re.compile(rf"(?:{_SEGMENT}+/)*+(?:{_SEGMENT}[._-])?[0-9a-f]{{16,64}}\.([a-z0-9]{{2,5}})")
_TYPES = {
    "js": ("text/javascript; charset=utf-8", True),
    "mjs": ("text/javascript; charset=utf-8", True),
    "css": ("text/css; charset=utf-8", True),
    "json": ("application/json", True),
    "map": ("application/json", True),
    "txt": ("text/plain; charset=utf-8", True),
    "svg": ("image/svg+xml", True),
    "wasm": ("application/wasm", True),
    "ttf": ("font/ttf", True),
    "otf": ("font/otf", True),
    "eot": ("application/vnd.ms-fontobject", True),
    "woff": ("font/woff", False),
    "woff2": ("font/woff2", False),
    "png": ("image/png", False),
    "jpg": ("image/jpeg", False),
    "gif": ("image/gif", False),
    "webp": ("image/webp", False),
    "ico": ("image/x-icon", True),
}
"""Content types by suffix, and whether compression makes such files smaller. A template in HTML is none."""
_IMMUTABLE = b"Cache-Control: public, max-age=31536000, immutable\r\n"
_ASKED_AGAIN = b"Cache-Control: no-cache\r\n"
_FIELDS = b"X-Content-Type-Options: nosniff\r\nContent-Security-Policy: frame-ancestors 'self'\r\n"


@dataclass(frozen=True)
class FoundFile:
    """A file that is there.

    Args:
        path: of it.
        kind: its Content-Type.
        shrinks: whether compression makes it smaller.
        hashed: whether its name says what is in it.
        signature: changes with the file.
    """

    path: str
    kind: bytes
    shrinks: bool
    hashed: bool
    signature: tuple[int, ...]


@dataclass(frozen=True)
class HeldFile:
    """A file in memory, as it is sent."""

    facts: FileFacts
    data: bytes
    signature: tuple[int, ...]


class SharedFiles:
    """Files of installed packages.

    Args:
        folders: by the path below a server's URL that they are served at, without slashes at its ends; the
            first folder that has a file is taken.
        unhashed: those of these paths at which names need no hash.
        held_bytes: how much is kept in memory.
    """

    def __init__(
        self,
        folders: Mapping[str, Sequence[Path]],
        unhashed: Container[str] = (),
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._folders = {
            f"/{path}/".encode(): (path in unhashed, tuple(os.path.realpath(each) for each in found))
            for path, found in folders.items()
        }
        self._most = held_bytes
        self._held: dict[tuple[str, bool], HeldFile] = {}  # the one that was used last is at the end
        self._loading: dict[tuple[str, bool], asyncio.Future[HeldFile]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def held_bytes(self) -> int:
        """How much is in memory."""
        return sum(len(each.data) for each in self._held.values())

    def find(self, path: bytes) -> FoundFile | None:
        """Return the file that a path stands for, None where that is for the server to say.

        The disk is asked each time, so that a changed installation is seen. That takes some microseconds: the
        names of installed packages are in the memory of the system.

        Args:
            path: of the request, below the server's URL; begins with a slash, and has nothing to decode.
        """
        for beginning, (unhashed, folders) in self._folders.items():
            if path.startswith(beginning):
                name = path[len(beginning) :].decode("ascii")
                hashed = _HASHED_NAME.fullmatch(name)
                found = hashed or (_ANY_NAME.fullmatch(name) if unhashed else None)
                if found is None or found[1] not in _TYPES:
                    return None
                return self._first(folders, name, found[1], hashed=hashed is not None)
        return None

    def _first(self, folders: Sequence[str], name: str, suffix: str, *, hashed: bool) -> FoundFile | None:
        kind, shrinks = _TYPES[suffix]
        for folder in folders:
            path = os.path.join(folder, name)  # noqa: PTH118 - ten times as fast, for each request
            try:
                facts = os.stat(path)  # noqa: PTH116 - likewise
            except OSError:
                continue
            file = FoundFile(path, kind.encode(), shrinks, hashed, _signature(facts))
            known = self._held.get((path, False)) or self._held.get((path, shrinks))
            if known is not None and known.signature == file.signature:
                return file
            # What a link leads to outside of the folder is for the server to judge.
            inside = os.path.realpath(path) == path
            regular = stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST
            return file if inside and regular else None
        return None

    def held(self, file: FoundFile, *, zipped: bool) -> HeldFile | None:
        """Return a file that is in memory and has not changed since."""
        key = (file.path, zipped and file.shrinks)
        held = self._held.pop(key, None)
        if held is None or held.signature != file.signature:
            return None
        self._held[key] = held
        return held

    async def load(self, file: FoundFile, *, zipped: bool) -> HeldFile:
        """Read a file into memory, once for all that want it, and return it.

        Raises:
            OSError: it cannot be read, or is another one by now.

        Cancelling lets the others have it.
        """
        key = (file.path, zipped and file.shrinks)
        async with self._turns:
            held = self.held(file, zipped=zipped)
            if held is not None:
                return held
            loading = self._loading.get(key)
            if loading is None:
                loading = in_thread(lambda: _read(file, zipped=key[1]), name="read a shared file")
                self._loading[key] = loading
                loading.add_done_callback(lambda done: self._loaded(key, done))
            return await result_of(loading)

    def _loaded(self, key: tuple[str, bool], done: asyncio.Future[HeldFile]) -> None:
        del self._loading[key]
        if not done.cancelled() and done.exception() is None:
            self._keep(key, done.result())

    def _keep(self, key: tuple[str, bool], held: HeldFile) -> None:
        self._held.pop(key, None)
        self._held[key] = held
        total = self.held_bytes
        for oldest in list(self._held):
            if total <= self._most or oldest == key:
                break
            total -= len(self._held.pop(oldest).data)


def _signature(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _read(file: FoundFile, *, zipped: bool) -> HeldFile:
    with open_regular(file.path) as opened:
        same = _signature(os.fstat(opened.fileno())) == file.signature
        data = opened.read() if same else b""
    if not same or len(data) != file.signature[2]:
        raise OSError(f"{file.path} has changed")
    tag = hashlib.sha256(data).hexdigest()[:32].encode()
    fields = (_IMMUTABLE if file.hashed else _ASKED_AGAIN) + _FIELDS
    if zipped:
        smaller = gzip.compress(data, 6, mtime=0)
        if len(smaller) < len(data):
            return HeldFile(FileFacts(tag, file.kind, len(smaller), True, fields), smaller, file.signature)
    return HeldFile(FileFacts(tag, file.kind, len(data), False, fields), data, file.signature)
