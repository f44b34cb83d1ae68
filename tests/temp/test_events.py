"""The last lines of a log."""

from __future__ import annotations

import logging

from moorage.temp.events import KEPT, recent_events


def test_lines_have_numbers_and_the_oldest_go() -> None:
    logger = logging.getLogger("moorage.test.events")
    logger.setLevel(logging.INFO)
    with recent_events(logger) as events:
        logger.debug("not told")
        for number in range(KEPT + 2):
            logger.info("line %d", number)
        assert [events.after(0)[0].number, len(events.after(0))] == [3, KEPT]
        (last,) = events.after(KEPT + 1)
        assert (last.text, last.level) == (f"line {KEPT + 1}", "info")
        assert last.time > 1.7e9
        logger.error("It failed", exc_info=ValueError("a token"))
        assert events.after(0)[-1].text == "It failed: ValueError"
    logger.info("later")
    assert events.after(0)[-1].text == "It failed: ValueError"
