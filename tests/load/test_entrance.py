"""A visitor's way into its server."""

from __future__ import annotations

import pytest

from moorage.load.entrance import AskPage, Broken, Entrance, Heard, LetIn, Stumbled, Timed, TurnedAway
from moorage.load.steps import Step, Trouble

FRONT = '<h1>Hello</h1><form action="/start"><input name="token" value="x"></form>'
QUEUE = '<h1>Place 2</h1><meta http-equiv="refresh" content="5;url=/queue?to=">'
STARTING = '<meta http-equiv="refresh" content="0;url=/ready?to=">'


def led(to: str) -> Heard:
    return Heard(303, to)


def pressed(front: Heard | None = None) -> Entrance:
    entrance = Entrance("/")
    assert entrance.start(10.0) == AskPage("/")
    said = entrance.handle(front or Heard(200, text=FRONT), 11.0)
    assert said == [Timed(Step.FRONT, 1.0), AskPage("/start", {"token": "x"}, step=Step.BUTTON)]
    assert entrance.pressed == {"token": "x"}
    return entrance


def test_a_spare_is_there_at_once() -> None:
    entrance = pressed()
    assert entrance.handle(led("/user/7/lab"), 11.5) == [
        Timed(Step.BUTTON, 0.5),
        AskPage("/user/7/lab", step=Step.READY),
    ]
    timed, let_in = entrance.handle(Heard(200, text='<script src="m.js">'), 12.0)
    assert timed == Timed(Step.READY, 0.5)
    assert isinstance(let_in, LetIn)
    assert (let_in.path, let_in.page.files) == ("/user/7/lab", ["m.js"])


def test_a_server_starts() -> None:
    entrance = pressed()
    entrance.handle(led("/start?to="), 12)
    assert entrance.handle(Heard(200, text=STARTING), 12.1) == [AskPage("/ready?to=", step=Step.READY)]
    # It takes longer than a request may: the service leads back, and on.
    assert entrance.handle(led("/start?to="), 32) == [AskPage("/start?to=", step=Step.READY)]
    assert entrance.handle(Heard(200, text=STARTING), 32.1) == [AskPage("/ready?to=", step=Step.READY)]
    assert entrance.handle(led("/user/7/lab/tree/a b.ipynb"), 40) == [
        AskPage("/user/7/lab/tree/a b.ipynb", step=Step.READY)
    ]
    timed, let_in = entrance.handle(Heard(200), 42)
    assert timed == Timed(Step.READY, 30)
    assert isinstance(let_in, LetIn)


def test_the_queue() -> None:
    entrance = pressed(Heard(503, text=FRONT))
    assert entrance.handle(led("/queue?to="), 12) == [
        Timed(Step.BUTTON, 1),
        AskPage("/queue?to=", step=Step.QUEUE),
    ]
    assert entrance.queued
    heard = Heard(503, text=QUEUE, retry_after="5")
    assert entrance.handle(heard, 12) == [AskPage("/queue?to=", after=5, step=Step.QUEUE)]
    assert entrance.handle(Heard(503, retry_after="7"), 17) == [
        AskPage("/queue?to=", after=7, step=Step.QUEUE)
    ]
    assert entrance.handle(led("/start?to="), 24) == [
        Timed(Step.QUEUE, 12),
        AskPage("/start?to=", step=Step.READY),
    ]
    assert not entrance.queued
    # It can come back into it, should what was started for it have died.
    assert entrance.handle(led("/queue?to="), 30)[0] == Timed(Step.READY, 6)


def test_a_refusal_is_no_error() -> None:
    heard = Heard(429, text="<h1>As many as there may be</h1>")
    assert pressed().handle(heard, 12) == [TurnedAway(Trouble("As many as there may be", 429))]
    entrance = Entrance("/")
    entrance.start(0)
    heard = Heard(503, text='<h1>Not now</h1><meta http-equiv="refresh" content="30">')
    assert entrance.handle(heard, 1) == [TurnedAway(Trouble("Not now", 503))]


def test_a_server_that_cannot_be_started() -> None:
    entrance = pressed()
    entrance.handle(led("/start?to="), 12)
    assert entrance.handle(led("/"), 13) == [AskPage("/", step=Step.READY)]
    said = Heard(200, text="<h1>Course</h1><p class=verdict>It died.</p>" + FRONT)
    assert entrance.handle(said, 13) == [Broken(Step.READY, Trouble("Course. It died. Hello", 200))]


def test_a_server_that_does_not_answer_is_looked_at_again() -> None:
    entrance = pressed()
    entrance.handle(led("/user/7/lab"), 12)
    silent = Heard(503, text='<h1>It is silent</h1><meta http-equiv="refresh" content="2">')
    assert entrance.handle(silent, 12) == [
        Stumbled(Step.READY, Trouble("It is silent", 503)),
        AskPage("/user/7/lab", after=2, step=Step.READY),
    ]
    assert entrance.handle(Heard(500, text="oh"), 12) == [Broken(Step.READY, Trouble("oh", 500))]


@pytest.mark.parametrize(
    ("heard", "said"),
    [(Heard(502), "There is no text"), (Heard(200, text="<h1>Other</h1>"), "Other"), (Heard(302), "nowhere")],
)
def test_no_front_page(heard: Heard, said: str) -> None:
    entrance = Entrance("/")
    entrance.start(0)
    (broken,) = entrance.handle(heard, 1)
    assert isinstance(broken, Broken)
    assert (broken.step, broken.trouble.status) == (Step.FRONT, heard.status)
    assert said in broken.trouble.text


def test_circles_end() -> None:
    entrance = Entrance("/spawn/a")
    entrance.start(0)
    answers = [entrance.handle(led("/spawn/a/"), 1) for _ in range(25)]
    assert answers[0] == [AskPage("/spawn/a/")]
    (broken,) = answers[-1]
    assert isinstance(broken, Broken)
    assert "circle" in broken.trouble.text


def by_host(host: str = "localhost:8000", *, anywhere: bool = False) -> Entrance:
    entrance = Entrance("/", host, anywhere=anywhere)
    entrance.start(0)
    return entrance


def test_a_server_with_a_host_of_its_own() -> None:
    entrance = by_host("127.0.0.1:8000")
    assert entrance.handle(led("//localhost:8000/"), 1) == [AskPage("//localhost:8000/")]
    assert entrance.handle(Heard(200, text=FRONT), 1) == [
        Timed(Step.FRONT, 1),
        AskPage("//localhost:8000/start", {"token": "x"}, step=Step.BUTTON),
    ]
    entrance.handle(led("/start?to="), 2)
    (ready,) = entrance.handle(Heard(200, text=STARTING), 2)
    assert ready == AskPage("//localhost:8000/ready?to=", step=Step.READY)
    way = [
        ("//id.localhost:8000/lab", "//id.localhost:8000/lab"),  # where it has no cookie yet
        ("//localhost:8000/open?word=w", "//localhost:8000/open?word=w"),
        ("//id.localhost:8000/.moorage/open?ticket=t", "//id.localhost:8000/.moorage/open?ticket=t"),
        ("/lab", "//id.localhost:8000/lab"),
    ]
    for location, address in way:
        assert entrance.handle(led(location), 3) == [AskPage(address, step=Step.READY)]
    timed, let_in = entrance.handle(Heard(200), 4)
    assert timed == Timed(Step.READY, 2)
    assert isinstance(let_in, LetIn)
    assert let_in.path == "//id.localhost:8000/lab"
    assert entrance.at_pages("/server") == "//localhost:8000/server"


def test_paths_of_a_server_host_are_none_of_the_pages() -> None:
    entrance = by_host()
    entrance.handle(Heard(200, text=FRONT), 1)
    entrance.handle(led("//id.localhost:8000/queue"), 2)
    assert not entrance.queued
    assert entrance.handle(led("/"), 2) == [AskPage("//id.localhost:8000/", step=Step.READY)]
    assert isinstance(entrance.handle(Heard(200), 3)[-1], LetIn)
    assert entrance.at_pages("/end") == "/end"


def test_a_crowd_is_led_to_no_other_machine() -> None:
    (broken,) = by_host().handle(led("https://0123456789abcdef.example.org/"), 1)
    assert isinstance(broken, Broken)
    assert broken.trouble.text == "It leads to ID.example.org, which may be another machine"
    entrance = by_host()
    entrance.handle(Heard(200, text=FRONT), 1)
    entrance.handle(led("/start?to="), 2)
    elsewhere = STARTING.replace("/ready", "//example.org/ready")
    assert isinstance(entrance.handle(Heard(200, text=elsewhere), 3)[-1], Broken)
    assert by_host(anywhere=True).handle(led("//example.org/"), 1) == [AskPage("//example.org/")]
