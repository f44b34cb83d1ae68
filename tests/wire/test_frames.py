"""Which frames are a user's, however they arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.wire.frames import FrameScanner


def frame(opcode: int, length: int, *, masked: bool = True, end: bool = True) -> bytes:
    mask = 0x80 if masked else 0
    if length < 126:
        size = bytes([mask | length])
    elif length < 65536:
        size = bytes([mask | 126]) + length.to_bytes(2, "big")
    else:
        size = bytes([mask | 127]) + length.to_bytes(8, "big")
    return bytes([(0x80 if end else 0) | opcode]) + size + (b"mask" if masked else b"") + b"\x88" * length


def test_data_frames_are_a_users_and_pongs_are_not() -> None:
    for opcode, user in ((0, True), (1, True), (2, True), (8, False), (9, False), (10, False)):
        for length in (0, 5, 125):
            assert FrameScanner().feed(frame(opcode, length)) is user


FRAMES = st.lists(st.tuples(st.sampled_from([0, 1, 2, 8, 9, 10]), st.integers(0, 300)), max_size=6)


@given(FRAMES, st.lists(st.integers(1, 90), max_size=4))
def test_frames_in_any_pieces(frames: list[tuple[int, int]], sizes: list[int]) -> None:
    """A piece is a user's exactly when a byte behind the header of a data frame, or its end, is in it."""
    data, ours = b"", []
    for opcode, length in frames:
        whole = frame(opcode, length)
        header = len(whole) - length - 4
        data += whole
        ours += [False] * (header - 1) + [opcode < 8] * (len(whole) - header + 1)
    scanner, at, count = FrameScanner(), 0, 0
    while at < len(data):
        size = sizes[count % len(sizes)] if sizes else len(data)
        piece = data[at : at + size]
        assert scanner.feed(piece) is any(ours[at : at + size])
        at, count = at + size, count + 1


def test_a_long_frame_is_followed_to_its_end() -> None:
    scanner = FrameScanner()
    data = frame(2, 70_000)
    assert scanner.feed(data[:20])
    assert scanner.feed(data[20:60_000])
    assert scanner.feed(data[60_000:] + frame(10, 3))
    assert not scanner.feed(frame(10, 3))
    assert not scanner.feed(b"")


def test_what_no_client_may_send_is_followed_no_further() -> None:
    scanner = FrameScanner()
    assert scanner.feed(frame(10, 5, masked=False))
    assert scanner.feed(bytes(100_000))
    assert scanner.feed(frame(10, 5))
