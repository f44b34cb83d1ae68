"""What visitors are told of their memory; that it is, in tests/real/test_temp_limits.py."""

from __future__ import annotations

import pytest

from moorage.temp.memory_told import MemoryTold


@pytest.mark.parametrize(
    ("kills", "words"),
    [
        (0, ""),
        (1, "The system ended the process that held most: often a kernel"),
        (3, "The system has ended 3 processes that held most so far"),
    ],
)
def test_words(kills: int, words: str) -> None:
    told = MemoryTold(400 << 20, kills).words
    assert told == (f"Your 400 MiB of memory were used up. {words}" if words else "")
