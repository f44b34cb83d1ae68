"""A visitor that ends its server: answers in, requests out. No I/O, no clock.

It does what a browser does on the page about a visitor's server: presses the button that ends it, asks again
where a page leads on by itself, and follows redirects among the service's own pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from moorage.load.entrance import MOST_REDIRECTS, REDIRECTS, SERVER, AskPage, Heard, trouble_of
from moorage.load.forms import read_html
from moorage.load.steps import Step, Trouble

PAGE, END = "/server", "/end"
"""The page about a visitor's server, and what the form on it is sent to."""


class Ended(Struct, frozen=True):
    """The service has taken the form."""


class NoServer(Struct, frozen=True):
    """There is no server to end, and the page says why."""

    trouble: Trouble


class NotEnded(Struct, frozen=True):
    """A visitor saw an error, and nothing leads on from it."""

    trouble: Trouble


Outcome = AskPage | Ended | NoServer | NotEnded


class Departure:
    """The way of one visitor out of its server, or out of the queue.

    Args:
        at_pages: returns what a path of the service's own pages is asked for by.
    """

    def __init__(self, at_pages: Callable[[str], str]) -> None:
        self._at_pages = at_pages
        self._path = PAGE
        self._sent = False  # the form
        self._followed = 0

    def start(self, form: Mapping[str, str] | None = None) -> AskPage:
        """Return the first request.

        Args:
            form: is sent at once, as the page of the queue has it; None to look at the server's page.
        """
        return self._ask(PAGE) if form is None else self._send(form)

    def handle(self, heard: Heard) -> Outcome:
        """Return what an answer means."""
        if heard.status in REDIRECTS:
            return Ended() if self._sent else self._led(heard)
        self._followed = 0
        page = read_html(heard.text)
        trouble = trouble_of(heard, page)
        form, refresh = page.form(END), page.refresh
        if form is not None and not self._sent:
            return self._send(form.fields)
        if refresh is not None and refresh.path != self._path:
            return self._ask(refresh.path or self._path, refresh.seconds)
        return NotEnded(trouble) if self._sent or heard.status not in {200, 503} else NoServer(trouble)

    def _led(self, heard: Heard) -> AskPage | NotEnded:
        """Follow a redirect; one that leads into the server says that there is one."""
        self._followed += 1
        if self._followed > MOST_REDIRECTS:
            return NotEnded(Trouble("It leads in a circle", heard.status))
        here = urlsplit(self._at_pages(self._path))
        parts = urlsplit(urljoin(here.geturl(), heard.location))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return self._ask(PAGE if path.startswith(SERVER) or parts.netloc != here.netloc else path)

    def _ask(self, path: str, after: float = 0.0) -> AskPage:
        self._path, self._sent = path, False
        return AskPage(self._at_pages(path), after=after, step=Step.END)

    def _send(self, form: Mapping[str, str]) -> AskPage:
        self._path, self._sent = END, True
        return AskPage(self._at_pages(END), form, step=Step.END)
