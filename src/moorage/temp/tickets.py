"""Tickets: a page of the service sends its visitor's browser to a server's host, for that browser alone.

The browser has a cookie with a random word at the server's host. A ticket is made for the word, so its
address is of no use to another browser, and to none after a minute.
"""

from __future__ import annotations

import hmac
import re
import secrets

from moorage.plan.visits import ServerId, VisitorId
from moorage.temp.signing import CookieSigner

TICKET_SECONDS = 60
_DIGITS = re.compile(r"[0-9]{1,15}")


class Tickets:
    """Makes and checks those of one service; times are in seconds since the epoch.

    Args:
        signer: of the service.
    """

    def __init__(self, signer: CookieSigner) -> None:
        self._signer = signer
        self._cookie = signer.named("opening")

    def words(self, cookies: str, *, secure: bool) -> list[str]:
        """Return the random words in the Cookie field of a request."""
        return [word for word in self._signer.values(cookies, self._cookie, secure=secure) if word]

    def new_word(self) -> str:
        """Return a random word."""
        return secrets.token_urlsafe(24)

    def word_field(self, word: str, *, secure: bool) -> str:
        """Return the Set-Cookie field with a word; an empty one drops it."""
        seconds = TICKET_SECONDS if word else 0
        return self._signer.field(self._cookie, word, "/", secure=secure, seconds=seconds)

    def ticket(self, server: ServerId, visitor: VisitorId, word: str, now: float) -> str:
        """Return what opens a server's host for the browser that has a word.

        Args:
            server: its name.
            visitor: that it belongs to.
            word: of the browser.
            now: the time.
        """
        until = int(now) + TICKET_SECONDS
        return f"{until}.{visitor}.{self._signature(server, visitor, word, until)}"

    def bearer(self, ticket: str, server: ServerId, words: list[str], now: float) -> VisitorId | None:
        """Return the visitor whose browser may have a server opened; None where the ticket is not for it.

        Args:
            ticket: as it came.
            server: that it is to open.
            words: of the browser that it came from.
            now: the time.
        """
        until, _, rest = ticket.partition(".")
        visitor, _, signature = rest.partition(".")
        if not visitor.isascii() or not _DIGITS.fullmatch(until) or int(until) <= now:
            return None
        for word in words:
            right = self._signature(server, visitor, word, int(until))
            if hmac.compare_digest(signature.encode(errors="replace"), right.encode()):
                return VisitorId(visitor)
        return None

    def _signature(self, server: str, visitor: str, word: str, until: int) -> str:
        return self._signer.sign("ticket", f"{server} {visitor} {word} {until}")
