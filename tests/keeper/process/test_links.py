"""A keeper's end of a link: it waits for nothing."""

from __future__ import annotations

import os
import socket

import pytest

from moorage.keeper.process.links import MOST_WAITING, LinkEnd
from moorage.wire import link


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    end = LinkEnd(ours.fileno(), ours.fileno())
    yield end, theirs
    ours.close()
    theirs.close()


def test_messages_come_and_go(pair):
    end, other = pair
    assert end.receive() == []
    other.sendall(link.encode({"do": "a"}) + link.frame(9, b"skipped") + link.encode({"do": "b"}))
    assert end.receive() == [{"do": "a"}, {"do": "b"}]
    end.tell({"tell": "c"})
    assert link.LinkDecoder().feed(other.recv(999))[0].message() == {"tell": "c"}
    other.close()
    assert end.receive() == []
    assert end.closed
    assert end.over


def test_what_is_no_link_is_closed_with_a_word(pair):
    end, other = pair
    other.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert end.receive() == []
    assert not end.over
    end.flush()
    assert end.over
    assert "no keeper's link" in link.LinkDecoder().feed(other.recv(999))[0].message()["why"]


def test_an_end_that_never_reads_costs_so_much_and_no_more(pair):
    end, other = pair
    count = 0
    while not end.queue.closing:
        end.tell({"n": count, "x": "x" * 1000})
        count += 1
    assert len(end.queue.next()) <= MOST_WAITING
    decoder, found = link.LinkDecoder(), []
    while not end.over:
        found += decoder.feed(other.recv(1 << 16))
        end.flush()
    other.setblocking(False)
    while True:
        try:
            found += decoder.feed(other.recv(1 << 16))
        except BlockingIOError:
            break
    *numbered, last = (frame.message() for frame in found)
    assert [message["n"] for message in numbered] == list(range(len(numbered)))
    assert last["why"] == f"too little was read: {count - len(numbered)} messages were dropped"


def test_writing_to_what_has_gone_closes_it(pair):
    end, other = pair
    other.close()
    end.tell({"a": 1})
    assert end.over


def test_two_descriptors_are_closed_once_each():
    first, second = os.pipe(), os.pipe()
    end = LinkEnd(first[0], second[1])
    end.close()
    for fd in (first[0], second[1]):
        with pytest.raises(OSError):
            os.fstat(fd)
    os.close(first[1])
    os.close(second[0])
