"""What a fork needs of its template's memory is seen from outside, and had ahead by the next one."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux"),
    # These forks touch no lock that another thread may hold: they write to memory, and end.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]
if sys.platform == "linux":
    from moorage.process.template import pages
    from moorage.process.template.pages import SIZE, Pages

COUNT = 64


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, COUNT * SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as region:
        for at in range(COUNT):
            region[at * SIZE] = 1
        yield region


def first_page(region: mmap.mmap) -> int:
    """Return the number of a region's first page."""
    return pages.ctypes.addressof(pages.ctypes.c_char.from_buffer(region)) // SIZE


@contextmanager
def forked(act: Callable[[], object]) -> Iterator[int]:
    """A fork that has done something, until the block ends."""
    ready, done = os.pipe()
    held, release = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.close(release)
            act()
            os.write(done, b"x")
            os.read(held, 1)
        finally:
            os._exit(0)
    try:
        assert os.read(ready, 1) == b"x"
        yield pid
    finally:
        for end in (ready, done, held, release):
            os.close(end)
        os.waitpid(pid, 0)


def writing(region: mmap.mmap, *numbers: int) -> Callable[[], object]:
    def write() -> None:
        for number in numbers:
            region[number * SIZE] = 2

    return write


def within(found: list[tuple[int, int]], region: mmap.mmap) -> set[int]:
    """Return which pages of a region are among these."""
    first = first_page(region)
    numbers = {page for begin, length in found for page in range(begin // SIZE, (begin + length) // SIZE)}
    return {page - first for page in numbers if first <= page < first + COUNT}


def test_runs_are_of_neighbours() -> None:
    assert list(pages.runs([])) == []
    assert list(pages.runs([7])) == [(7 * SIZE, SIZE)]
    assert list(pages.runs({9, 3, 4, 5})) == [(3 * SIZE, 3 * SIZE), (9 * SIZE, SIZE)]


def test_what_a_fork_wrote_to_is_seen(memory: mmap.mmap) -> None:
    seen = Pages()
    with forked(writing(memory, 3, 4, 60)) as pid:
        assert seen.wants(pid)
        seen.look(pid)
    assert within(seen.written, memory) == {3, 4, 60}
    assert seen.read


def test_a_later_look_at_the_same_one_replaces_the_former(memory: mmap.mmap) -> None:
    seen = Pages()
    with forked(writing(memory, 3)) as pid:
        seen.look(pid)
        seen._needs[pid] = ({1}, {1})
        seen.look(pid)
    assert within(seen.written, memory) == {3}


def test_what_two_needed_counts_and_no_third_is_looked_at(memory: mmap.mmap) -> None:
    seen = Pages()
    for numbers in ((3, 4, 5), (4, 5, 6)):
        with forked(writing(memory, *numbers)) as pid:
            seen.look(pid)
    assert within(seen.written, memory) == {4, 5}
    with forked(lambda: None) as pid:
        assert not seen.wants(pid)


def test_one_that_has_ended_tells_nothing() -> None:
    seen = Pages()
    with forked(lambda: None) as pid:
        pass
    seen.look(pid)
    assert seen.wants(pid)
    assert seen.written == seen.read == []


def test_the_next_one_has_the_pages_for_itself(memory: mmap.mmap) -> None:
    seen = Pages()
    with forked(writing(memory, 10, 11)) as pid:
        seen.look(pid)

    def take() -> None:
        seen.take()
        assert memory[10 * SIZE] == memory[12 * SIZE] == 1

    with forked(take) as pid:
        written, _ = pages.needed(pid)
    first = first_page(memory)
    if first + 10 not in written:
        pytest.skip("this system has no MADV_POPULATE_WRITE")
    assert first + 11 in written
    assert first + 12 not in written
