"""A visitor on its way from the front page into its server: answers in, requests out. No I/O, no clock.

It does what a browser does with pages that need no script: presses the button, follows redirects, and asks
again where a page leads on by itself (``Refresh``) or says when (``Retry-After``). What it asks for is a path
of the host that it came to first, or an address with a host of its own, ``//HOST:PORT/PATH``, where it was
led to another one: with ``--host-routing`` each server has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from moorage.load.forms import Form, Html, read_html
from moorage.load.steps import Step, Trouble
from moorage.load.target import is_loopback

REDIRECTS = frozenset({301, 302, 303, 307, 308})
SERVER = "/user/"
_QUEUE = "/queue"
_START = "/start"
_ID = re.compile(r"\b[0-9a-f]{16}\b")
MOST_REDIRECTS = 20
"""A browser follows no more in a row."""


class Heard(Struct, frozen=True):
    """An answer.

    Attributes:
        status: of HTTP.
        location: where it leads; empty for nowhere.
        text: of the page.
        retry_after: the field of that name; empty where there is none.
    """

    status: int
    location: str = ""
    text: str = ""
    retry_after: str = ""


class AskPage(Struct, frozen=True):
    """A request is to be made.

    Attributes:
        path: with its query; with a host before it where that is not the first one.
        form: what is sent; None for a GET.
        after: seconds to wait before.
        step: what the time is for.
    """

    path: str
    form: Mapping[str, str] | None = None
    after: float = 0.0
    step: Step = Step.FRONT


class Timed(Struct, frozen=True):
    """A step has been done."""

    step: Step
    seconds: float


class LetIn(Struct, frozen=True):
    """The server's page is there.

    Attributes:
        path: of the page; with a host before it where that is not the first one.
        page: what stands in it.
    """

    path: str
    page: Html


class TurnedAway(Struct, frozen=True):
    """The service has said that there is no server for this visitor."""

    trouble: Trouble


class Stumbled(Struct, frozen=True):
    """A visitor saw an error, and goes on as its browser does."""

    step: Step
    trouble: Trouble


class Broken(Struct, frozen=True):
    """A visitor saw an error, and nothing leads on from it."""

    step: Step
    trouble: Trouble


Outcome = Timed | Stumbled | AskPage | LetIn | TurnedAway | Broken


class Entrance:
    """The way of one visitor into its server.

    Args:
        path: of the page with the button.
        host: of that page, with its port.
        anywhere: whether redirects to other machines than this one are followed.

    Attributes:
        pressed: what was sent when the button was pressed.
    """

    def __init__(self, path: str, host: str = "", *, anywhere: bool = False) -> None:
        self._front = path
        self._host = host.lower()
        self._anywhere = anywhere
        self._pages: str | None = None  # host of the page that had the button
        self._path = path
        self._step = Step.FRONT
        self._begun = 0.0
        self._followed = 0
        self.pressed: dict[str, str] = {}

    @property
    def step(self) -> Step:
        """What is under way."""
        return self._step

    @property
    def begun(self) -> float:
        """When that began."""
        return self._begun

    @property
    def queued(self) -> bool:
        """Whether the visitor is in the queue."""
        return self._step is Step.QUEUE

    def at_pages(self, path: str) -> str:
        """Return what a path of the service's own pages is asked for by."""
        return f"//{self._pages}{path}" if self._pages else path

    def start(self, now: float) -> AskPage:
        """Return the first request."""
        self._begun = now
        return AskPage(self._front)

    def handle(self, heard: Heard, now: float) -> list[Outcome]:
        """Return what an answer means: the times that it ends, and one thing more, what is next."""
        if heard.status in REDIRECTS:
            return self._led(heard, now)
        self._followed = 0
        return self._shown(heard, read_html(heard.text), now)

    def _shown(self, heard: Heard, page: Html, now: float) -> list[Outcome]:
        match self._step:
            case Step.FRONT:
                return self._at_front(heard, page, now)
            case Step.QUEUE if heard.status == 503:
                return [self._again(heard, page)]
            case Step.READY | Step.QUEUE if self._is_server(self._path):
                return self._at_server(heard, page, now)
            case Step.READY if heard.status == 200 and page.refresh is not None:
                return [self._again(heard, page)]
            case Step.BUTTON if heard.status == 429:
                return [TurnedAway(trouble_of(heard, page))]
            case _:
                return [Broken(self._step, trouble_of(heard, page))]

    def _at_front(self, heard: Heard, page: Html, now: float) -> list[Outcome]:
        """Press the button, also that of a page which says that there is a queue."""
        form = page.form(_START)
        if heard.status == 503 and form is None and page.refresh is not None:  # no new visitors for a while
            return [TurnedAway(trouble_of(heard, page))]
        if heard.status not in {200, 503} or form is None:
            return [Broken(Step.FRONT, trouble_of(heard, page))]
        return [*self._done(Step.BUTTON, now), self._press(form)]

    def _press(self, form: Form) -> AskPage:
        self.pressed = form.fields
        self._pages = urlsplit(self._path).netloc
        self._path = urljoin(self._path, form.action)
        return AskPage(self._path, form.fields, step=Step.BUTTON)

    def _led(self, heard: Heard, now: float) -> list[Outcome]:
        """Follow a redirect."""
        host, path = self._led_to(heard.location)
        self._followed += 1
        if self._followed > MOST_REDIRECTS or not heard.location:
            text = "It leads in a circle" if heard.location else "It leads nowhere"
            return [Broken(self._step, Trouble(text, heard.status))]
        if host and not self._may_follow(host):
            return [self._abroad(heard, host)]
        at_pages = host == self._pages
        back = self._step in {Step.READY, Step.QUEUE} and at_pages and path == self._front
        self._path = f"//{host}{path}" if host else path
        if back:  # the server could not be started; the page says why
            return [AskPage(self._path, step=self._step)]
        wanted = Step.QUEUE if at_pages and path.startswith(_QUEUE) else Step.READY
        if wanted is self._step or (self._step is Step.FRONT and not self._is_server(self._path)):
            return [AskPage(self._path, step=self._step)]
        return [*self._done(wanted, now), AskPage(self._path, step=wanted)]

    def _led_to(self, location: str) -> tuple[str, str]:
        """Return host and path that a page leads to; the host is empty for the first one."""
        parts = urlsplit(urljoin(self._path, location))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = parts.netloc.lower()
        return "" if host == self._host else host, path

    def _may_follow(self, host: str) -> bool:
        """Tell whether a crowd may go there: to this machine, or as its user says, which answers for it."""
        return self._anywhere or is_loopback(urlsplit(f"//{host}").hostname or "")

    def _abroad(self, heard: Heard, host: str) -> Broken:
        text = f"It leads to {_ID.sub('ID', host)}, which may be another machine"
        return Broken(self._step, Trouble(text, heard.status))

    def _is_server(self, address: str) -> bool:
        """Tell whether an address is a server's: below a path, or at another host than the pages."""
        parts = urlsplit(address)
        return parts.path.startswith(SERVER) or self._pages not in {None, parts.netloc}

    def _again(self, heard: Heard, page: Html) -> AskPage | Broken:
        """Ask where a page leads by itself, or for the same page again."""
        seconds = float(heard.retry_after) if heard.retry_after.isdecimal() else 1.0
        if page.refresh is not None:
            seconds = page.refresh.seconds
            host, path = self._led_to(page.refresh.path)
            if host and not self._may_follow(host):
                return self._abroad(heard, host)
            self._path = f"//{host}{path}" if host else path
        return AskPage(self._path, after=seconds, step=self._step)

    def _at_server(self, heard: Heard, page: Html, now: float) -> list[Outcome]:
        if heard.status == 200:
            return [*self._done(Step.PAGE, now), LetIn(self._path, page)]
        trouble = trouble_of(heard, page)
        if heard.status == 503 and page.refresh is not None:
            return [Stumbled(self._step, trouble), self._again(heard, page)]
        return [Broken(self._step, trouble)]

    def _done(self, following: Step, now: float) -> list[Outcome]:
        timed = Timed(self._step, now - self._begun)
        self._step, self._begun = following, now
        return [timed]


def trouble_of(heard: Heard, page: Html) -> Trouble:
    """Return what an answer says, in its page's words where it has some."""
    return Trouble(page.heading or heard.text.strip()[:200] or "There is no text", heard.status)
