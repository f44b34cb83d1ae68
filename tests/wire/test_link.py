"""Frames of a keeper's link: cut anywhere, bounded, refused when they are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.wire import link

MESSAGES = st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))


@given(MESSAGES, st.lists(st.integers(1, 40)))
def test_what_is_encoded_arrives_however_it_is_cut(messages, cuts):
    data = b"".join(map(link.encode, messages))
    decoder = link.LinkDecoder()
    found = []
    for cut in cuts:
        found += decoder.feed(data[:cut])
        data = data[cut:]
    found += decoder.feed(data)
    assert [frame.message() for frame in found] == messages
    assert {frame.kind for frame in found} <= {link.JSON}


def test_bytes_that_are_no_text_survive():
    text = b"caf\xe9".decode("utf-8", "surrogateescape")
    (frame,) = link.LinkDecoder().feed(link.encode({"a": text}))
    assert frame.message() == {"a": text}


def test_a_frame_is_what_the_reference_says():
    assert link.encode({"do": "status"}) == b'mk\x01\x01\x00\x00\x00\x0f{"do":"status"}'


def test_bodies_of_another_kind_are_handed_on():
    (frame,) = link.LinkDecoder().feed(link.frame(7, b"\0\1"))
    assert (frame.kind, frame.body) == (7, b"\0\1")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\n", "no keeper's link"),
        (b"m!", "no keeper's link"),
        (b"mk\x02", "version 2"),
        (b"mk\x01\x01\xff\xff\xff\xff", "more than 65536"),
    ],
)
def test_what_is_no_frame_is_refused_as_soon_as_it_shows(data, why):
    with pytest.raises(link.LinkError, match=why):
        link.LinkDecoder().feed(data)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 9999])
def test_a_body_that_is_no_object_is_refused(body):
    (frame,) = link.LinkDecoder().feed(link.frame(link.JSON, body))
    with pytest.raises(link.LinkError):
        frame.message()


def sent(queue: link.SendQueue, piece: int = 1 << 20) -> bytes:
    found = b""
    while data := queue.next()[:piece]:
        found += data
        queue.sent(len(data))
    return found


@given(MESSAGES, st.integers(1, 30))
def test_what_is_put_is_sent_in_any_pieces(messages, piece):
    queue = link.SendQueue(1 << 20)
    for message in messages:
        queue.put(message)
    assert sent(queue, piece) == b"".join(map(link.encode, messages))


@pytest.mark.parametrize("begun", [0, 1, 5])
def test_what_does_not_fit_is_replaced_by_a_word_and_no_frame_is_torn(begun):
    queue = link.SendQueue(100)
    queue.put({"first": "x" * 50})
    queue.sent(begun)
    queue.put({"second": "y" * 50})
    assert queue.closing
    queue.put({"third": 3})
    data = link.encode({"first": "x" * 50})[:begun] + sent(queue)
    *kept, last = (frame.message() for frame in link.LinkDecoder().feed(data))
    assert kept == ([{"first": "x" * 50}] if begun else [])
    assert last["tell"] == "dropped"
    assert f"{1 if begun else 2} messages" in last["why"]
    assert not queue.next()


def test_a_closed_queue_says_why_once():
    queue = link.SendQueue(100)
    queue.close("one")
    queue.close("two")
    (frame,) = link.LinkDecoder().feed(sent(queue))
    assert frame.message() == {"tell": "dropped", "why": "one"}
