"""Frames of a client, whole, in pieces, long, and none."""

from __future__ import annotations

import pytest

from moorage.wire.client_frames import CLOSE, MOST, PING, TEXT, ClientFrames, unmasked

MASK = b"\x01\x02\x03\x04"


def frame(content: bytes, opcode: int = TEXT) -> bytes:
    length = len(content)
    if length < 126:
        head = bytes([0x80 | opcode, 0x80 | length])
    elif length < 1 << 16:
        head = bytes([0x80 | opcode, 0x80 | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 0x80 | 127]) + length.to_bytes(8, "big")
    return head + MASK + unmasked(MASK, content)


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_each_frame_is_told_however_it_arrives(size: int) -> None:
    contents = [b"", b"a", b"x" * 125, b"y" * 126, b"z" * 70, bytes(range(256)) * 20]
    data = b"".join(map(frame, contents)) + frame(b"bye", CLOSE) + frame(b"there?", PING)
    frames, found = ClientFrames(), []
    for at in range(0, len(data), size):
        found += frames.feed(data[at : at + size])
    assert found == [*((TEXT, each) for each in contents), (CLOSE, b"bye"), (PING, b"there?")]
    assert frames.between


def test_of_a_long_frame_its_beginning_is_told_and_its_end_is_found() -> None:
    data = frame(b"x" * (MOST + 1)) + frame(b"after")
    frames, found = ClientFrames(), []
    for at in range(0, len(data), 1000):
        found += frames.feed(data[at : at + 1000])
        assert len(frames._buffer) < 2000
    assert found == [(TEXT, b""), (TEXT, b"after")]


def test_between_frames_and_within_one() -> None:
    frames = ClientFrames()
    assert frames.between
    assert list(frames.feed(frame(b"abc")[:3])) == []
    assert not frames.between
    assert list(frames.feed(frame(b"abc")[3:])) == [(TEXT, b"abc")]
    assert frames.between
    list(frames.feed(frame(b"x" * (MOST + 1))[:100]))
    assert not frames.between


def test_after_a_frame_that_is_not_masked_everything_is_text() -> None:
    frames = ClientFrames()
    assert list(frames.feed(b"\x81\x01x")) == [(TEXT, b"")]
    assert list(frames.feed(b"whatever")) == [(TEXT, b"")]
    assert not frames.between
