"""A visitor's way out of its server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from moorage.load.departure import Departure, Ended, NoServer, NotEnded
from moorage.load.entrance import AskPage, Heard
from moorage.load.steps import Step, Trouble

YOURS = '<h1>Your server</h1><form action="/end"><input name="token" value="x"></form>'
REFRESHED = '<meta http-equiv="refresh" content="30">'
CROWD = '<h1>There is a crowd here</h1><meta http-equiv="refresh" content="5">'
STARTING = '<h1>Your server is starting</h1><meta http-equiv="refresh" content="0;url=/ready?to=">'
FRONT = (
    '<h1>Hello</h1><p class="verdict">Your last server has ended: it was killed.</p>'
    '<form action="/start"><input name="token" value="x"></form>'
)
DRAINED = '<h1>Hello</h1><meta http-equiv="refresh" content="60;url=/">'
SENT = AskPage("/end", {"token": "x"}, step=Step.END)


def asks(path: str, after: float = 0.0) -> AskPage:
    return AskPage(path, after=after, step=Step.END)


def leaving(at_pages: Callable[[str], str] = str) -> Departure:
    departure = Departure(at_pages)
    assert departure.start() == asks(at_pages("/server"))
    return departure


def test_the_button_is_pressed() -> None:
    departure = leaving()
    assert departure.handle(Heard(200, text=YOURS + REFRESHED)) == SENT
    assert departure.handle(Heard(303, "/")) == Ended()


def test_the_queue_is_left_with_the_form_that_is_there() -> None:
    departure = Departure(str)
    assert departure.start({"token": "x"}) == SENT
    assert departure.handle(Heard(303, "/")) == Ended()


def test_a_crowd_is_waited_for_as_its_page_says() -> None:
    departure = leaving()
    assert departure.handle(Heard(503, text=CROWD)) == asks("/server", 5)
    assert departure.handle(Heard(503, text=CROWD)) == asks("/server", 5)
    assert departure.handle(Heard(200, text=YOURS)) == SENT
    assert departure.handle(Heard(503, text=CROWD)) == asks("/end", 5)  # by a GET, as browsers do
    assert departure.handle(Heard(303, "/server")) == asks("/server")
    assert departure.handle(Heard(200, text=YOURS)) == SENT
    assert departure.handle(Heard(303, "/")) == Ended()


def test_a_server_that_starts_is_waited_for() -> None:
    departure = leaving()
    assert departure.handle(Heard(303, "/start?to=")) == asks("/start?to=")
    assert departure.handle(Heard(200, text=STARTING)) == asks("/ready?to=")
    assert departure.handle(Heard(303, "/user/7/lab")) == asks("/server")
    assert departure.handle(Heard(200, text=YOURS)) == SENT


@pytest.mark.parametrize("page", [FRONT, DRAINED])
@pytest.mark.parametrize("status", [200, 503])
def test_there_is_no_server(page: str, status: int) -> None:
    departure = leaving()
    assert departure.handle(Heard(303, "/")) == asks("/")
    found = departure.handle(Heard(status, text=page))
    said = "Hello. Your last server has ended: it was killed" if page is FRONT else "Hello"
    assert found == NoServer(Trouble(said, status))


def test_a_form_that_is_refused_and_a_page_that_fails() -> None:
    departure = Departure(str)
    departure.start({"token": "x"})
    assert departure.handle(Heard(403, text="<h1>It was not taken</h1>")) == NotEnded(
        Trouble("It was not taken", 403)
    )
    assert leaving().handle(Heard(500, text="")) == NotEnded(Trouble("There is no text", 500))


def test_a_circle() -> None:
    departure = leaving()
    found = [departure.handle(Heard(303, "/server")) for _ in range(21)]
    assert found == [asks("/server")] * 20 + [NotEnded(Trouble("It leads in a circle", 303))]


def test_pages_and_servers_at_different_hosts() -> None:
    departure = leaving(lambda path: f"//localhost:8000{path}")
    assert departure.handle(Heard(303, "/start?to=")) == asks("//localhost:8000/start?to=")
    assert departure.handle(Heard(303, "//7.localhost:8000/lab")) == asks("//localhost:8000/server")
    assert departure.handle(Heard(200, text=YOURS)) == AskPage(
        "//localhost:8000/end", {"token": "x"}, step=Step.END
    )
