"""The pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from moorage.plan.visits import ServerGone
from moorage.temp.brake_told import BrakeTold
from moorage.temp.commands import ServerCommand
from moorage.temp.offers import Offer, only_offer
from moorage.temp.pages import Choice, FrontPages
from moorage.temp.settings import TempSettings
from moorage.temp.time_left import TimeLeft
from moorage.temp.wish import Wish

PAGES = FrontPages("Two <courses>")
SETTINGS = TempSettings(state=Path("/s"), command=ServerCommand("JupyterLab", ()), title="A <course>")
ONLY = [Choice(only_offer(SETTINGS)[""], full=False)]
FULL = [Choice(only_offer(SETTINGS)[""], full=True)]
NAMED = Offer("waves", "Waves & <more>", "What <i>moves</i>.", 0, SETTINGS)
BARE = Offer("rocks", "Rocks", "", 0, SETTINGS)
GONE = ServerGone("s", "exit code 1", "<b>last</b> words", answered=True)
ALL = {
    "front": PAGES.front("token", Wish(), None, ONLY),
    "deep": PAGES.front("token", Wish("lab/tree/a%20%3Cb%3E.ipynb?x=1"), None, ONLY),
    "full": PAGES.front("token", Wish(), None, FULL),
    "gone": PAGES.front("token", Wish(), GONE, ONLY),
    "several": PAGES.front("token", Wish("a"), None, [Choice(NAMED, full=False), Choice(BARE, full=True)]),
    "none": PAGES.front("token", Wish(), GONE, [Choice(NAMED, full=True), Choice(BARE, full=True)]),
    "named": PAGES.front("token", Wish(), None, [Choice(NAMED, full=False)]),
    "closed": PAGES.front("token", Wish(), None, [Choice(NAMED, full=True, closed=True)]),
    "partly": PAGES.front(
        "token", Wish(), None, [Choice(NAMED, full=True, closed=True), Choice(BARE, full=False)]
    ),
    "invited": PAGES.front("token", Wish("a", "rocks", "i~<j>"), None, [Choice(BARE, full=False)]),
    "waiting": PAGES.waiting(Wish('lab/"x', "waves")),
    "queue": PAGES.queue("token", Wish("a", "waves"), 3, 7, 5),
    "yours": PAGES.yours("token", "/user/a/lab", "JupyterLab", TimeLeft(65.0)),
    "braked": PAGES.yours(
        "token", "/user/a/lab", "JupyterLab", TimeLeft(), brake=BrakeTold(1200, "asked", 1500)
    ),
    "silent": PAGES.silent(),
    "asleep": PAGES.not_woken("why", "/download"),
    "other": PAGES.other("token", "/user/a/lab", Wish("x", "waves"), has="", title="<W>"),
    "message": PAGES.message("T", "text"),
}
VOID = {"meta", "input"}


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ALL)
def test_every_page_is_whole_and_needs_nothing_else(name: str) -> None:
    page = Balanced()
    page.feed(ALL[name])
    assert page.open == []
    assert not {"script", "link", "img", "iframe"} & page.seen
    assert {"h1", "main", "header", "footer"} <= page.seen
    assert not re.search(r"https?://|url\((?!/)", ALL[name])


def test_what_comes_from_elsewhere_is_text() -> None:
    assert "<h1>A &lt;course&gt;</h1>" in ALL["front"]
    assert "<h1>Open a &lt;b&gt;.ipynb</h1>" in ALL["deep"]
    assert "&lt;b&gt;last&lt;/b&gt; words" in ALL["gone"]
    assert 'content="0;url=/ready?to=lab/%22x&amp;offer=waves"' in ALL["waiting"]


def test_a_button_says_what_it_does() -> None:
    assert "<button>Open JupyterLab</button>" in ALL["front"]
    assert "<button>Join the queue</button>" in ALL["full"]
    assert "<button>Open JupyterLab</button>" in ALL["gone"]
    failed = PAGES.front("token", Wish(), ServerGone("s", "x", "", answered=False), FULL)
    assert "<button>Join the queue</button>" in failed
    assert "could not be started: x. All servers" in failed


def test_the_place_in_the_queue() -> None:
    assert "<strong>3</strong> of 7" in ALL["queue"]
    assert "2 visitors are before you." in ALL["queue"]
    assert "1 visitor is before you." in PAGES.queue("token", Wish(), 2, 2, 5)
    assert "You are next." in PAGES.queue("token", Wish(), 1, 2, 5)
    assert 'content="5;url=/queue?to=a&amp;offer=waves"' in ALL["queue"]


def test_each_choice_has_a_button_that_says_which_it_is() -> None:
    page = ALL["several"]
    assert page.count("<form") == 1
    assert "<h1>Open a</h1>" in page
    assert "<h2>Waves &amp; &lt;more&gt;</h2>" in page
    assert '<p id="about-0">What &lt;i&gt;moves&lt;/i&gt;.</p>' in page
    assert (
        '<button name="offer" value="waves" aria-describedby="about-0">Open JupyterLab'
        '<span class="hidden">: Waves &amp; &lt;more&gt;</span></button>'
    ) in page
    assert 'value="rocks" aria-describedby="about-1">Join the queue<' in page
    assert page.count("All servers of it are in use now.") == 1
    assert "All servers that fit here" in ALL["none"]


def test_one_choice_looks_as_it_does_without_offers() -> None:
    assert "<h1>Waves &amp; &lt;more&gt;</h1>" in ALL["named"]
    assert "What &lt;i&gt;moves&lt;/i&gt;." in ALL["named"]
    assert 'name="offer" value="waves">' in ALL["named"]
    assert 'name="offer"' not in ALL["front"]


def test_what_is_by_invitation_only_has_no_button() -> None:
    for name in ("closed", "partly"):
        assert ALL[name].count("By invitation only: open the link that you were invited with.") == 1
        assert 'value="waves"' not in ALL[name]
        assert "in use" not in ALL[name]  # that is none of this visitor's business
    assert "<form" not in ALL["closed"]
    assert '<button name="offer" value="rocks">' in ALL["partly"]
    assert '<input type="hidden" name="invitation" value="i~&lt;j&gt;">' in ALL["invited"]


def test_the_end_of_a_server_leads_to_what_is_wanted() -> None:
    assert "It is for an earlier offer" in ALL["other"]
    assert "one for “&lt;W&gt;”" in ALL["other"]
    assert 'action="/end"' in ALL["other"]
    assert 'name="offer" value="waves"' in ALL["other"]


def test_a_server_that_cannot_be_woken_says_why_and_what_to_do() -> None:
    page = PAGES.not_woken("no <processes> are left", "/download")
    assert "It is asleep, and could not be woken: no &lt;processes&gt; are left." in page
    assert ">Try again</a>" in page
    assert 'href="/download"' in page
