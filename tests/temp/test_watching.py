"""Times in words; that spares and unused servers are ended is tested where they are handed out and served."""

from __future__ import annotations

import pytest

from moorage.temp.watching import duration


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0.4 s"), (119, "119 s"), (3600, "60 min"), (9000, "2.5 h")]
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
