"""Tickets to a server's host."""

from __future__ import annotations

import pytest

from moorage.plan.visits import ServerId, VisitorId
from moorage.temp.signing import CookieSigner
from moorage.temp.tickets import TICKET_SECONDS, Tickets

TICKETS = Tickets(CookieSigner(b"1" * 32, by_host=True))
SERVER, VISITOR = ServerId("0123456789abcdef"), VisitorId("ann")
TICKET = TICKETS.ticket(SERVER, VISITOR, "word", 1000.0)
UNTIL = 1000 + TICKET_SECONDS


def test_a_ticket_is_for_a_browser_and_a_server() -> None:
    assert TICKETS.bearer(TICKET, SERVER, ["other", "word"], 1000.0) == VISITOR
    assert TICKETS.bearer(TICKET, SERVER, ["other"], 1000.0) is None
    assert TICKETS.bearer(TICKET, SERVER, [], 1000.0) is None
    assert TICKETS.bearer(TICKET, ServerId("f" * 16), ["word"], 1000.0) is None
    assert Tickets(CookieSigner(b"2" * 32, by_host=True)).bearer(TICKET, SERVER, ["word"], 1000.0) is None


def test_a_ticket_is_good_for_a_while() -> None:
    assert TICKETS.bearer(TICKET, SERVER, ["word"], UNTIL - 1) == VISITOR
    assert TICKETS.bearer(TICKET, SERVER, ["word"], UNTIL) is None


@pytest.mark.parametrize(
    "ticket",
    [
        "",
        ".",
        "..",
        "x.ann.y",
        TICKET + "0",
        TICKET.replace("ann", "bob"),
        TICKET.replace("1", "9", 1),
        "\ud800",
        "1060.ann.\ud800",
        "1060.\ud800.x",
    ],
)
def test_what_is_no_ticket(ticket: str) -> None:
    assert TICKETS.bearer(ticket, SERVER, ["word"], 1000.0) is None


def test_a_word_is_kept_for_as_long_as_a_ticket() -> None:
    word = TICKETS.new_word()
    assert word != TICKETS.new_word()
    field = TICKETS.word_field(word, secure=True)
    assert f"Max-Age={TICKET_SECONDS}" in field
    assert TICKETS.words(field.partition(";")[0], secure=True) == [word]
    assert TICKETS.words(field.partition(";")[0], secure=False) == []
    ended = TICKETS.word_field("", secure=True)
    assert "Max-Age=0" in ended
    assert TICKETS.words(ended.partition(";")[0], secure=True) == []
