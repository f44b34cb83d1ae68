"""Keeping the cache's folder small."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from moorage.errors import OutputError
from moorage.notebooks.cache.stored import decode

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.notebooks.cache.store import Kind, Store

_GRACE = 3600.0
_STAMP = "pruned"


class _Old(NamedTuple):
    used: float
    kind: Kind
    name: str
    size: int
    blobs: frozenset[str]


def prune(store: Store, *, max_bytes: int, max_age_s: float, every_s: float, now: float) -> int:
    """Remove old results, then the least recently used ones, then blobs that no result names.

    A run beside this one may be about to name a blob it has just written or found: blobs younger than an
    hour stay. What it misses all the same is a miss for it, never a broken result.

    Args:
        store: the folder.
        max_bytes: what may stay.
        max_age_s: seconds since last use after which a result goes.
        every_s: nothing is done when the last pruning is younger, in seconds.
        now: time.time().

    Returns:
        How many files were removed.
    """
    if not store.folder.is_dir() or now - _mtime(store.folder / _STAMP) < every_s:
        return 0
    with suppress(OutputError):
        store.touch(_STAMP)
    removed = 0
    sizes = {name: status.st_size for name, status in store.entries("blobs")}
    total = 0
    needed: set[str] = set()
    for old in sorted(_records(store), key=lambda record: -record.used):
        more = old.size + sum(sizes.get(digest, 0) for digest in old.blobs - needed)
        if now - old.used > max_age_s or total + more > max_bytes or not old.blobs:
            removed += store.remove(old.kind, old.name)
        else:
            total += more
            needed |= old.blobs
    for name, status in list(store.entries("blobs")):
        if name not in needed and now - status.st_mtime > _GRACE:
            removed += store.remove("blobs", name)
    return removed


def _records(store: Store) -> list[_Old]:
    """Return every record; a damaged one names no blobs."""
    found = []
    kinds: tuple[Kind, ...] = ("recipes", "runs")
    for kind in kinds:
        for name, status in store.entries(kind):
            payload = store.read(kind, name, use=False)
            record = None if payload is None else decode(payload)
            blobs = frozenset() if record is None else frozenset(record.blobs())
            found.append(_Old(status.st_mtime, kind, name, status.st_size, blobs))
    return found


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
