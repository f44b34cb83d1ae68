"""Links and forms, and what they ask for."""

from __future__ import annotations

import pytest

from moorage.temp.wish import Wish, form_wish, link_wish, wanted_path


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("/", Wish()),
        ("/spawn", Wish()),
        ("/spawn/lab/tree/a%20b.ipynb?x=1", Wish("lab/tree/a%20b.ipynb?x=1")),
        ("/spawn/a?offer=b", Wish("a", "b")),
        ("/spawn/a?x=1&offer=b&y=2", Wish("a?x=1&y=2", "b")),
        ("/?offer=b", Wish("", "b")),
        ("/offer/b", Wish("", "b")),
        ("/offer/b/", Wish("", "b")),
        ("/offer/b/c/d?offer=e", Wish("c/d?offer=e", "b")),
        ("/offer/%0a/c", Wish("c", "\n")),
    ],
)
def test_links(raw: str, wanted: Wish) -> None:
    assert link_wish(raw) == wanted


@pytest.mark.parametrize(
    "wanted",
    [Wish(), Wish("a/b?x=1"), Wish("", "b"), Wish("a%20b?x=1&y", "b"), Wish("a", "\r\n/&=ü")],
)
def test_what_is_wanted_is_the_same_after_a_link(wanted: Wish) -> None:
    assert link_wish(wanted.link) == wanted
    assert wanted.link.isascii()
    assert not {"\r", "\n"} & set(wanted.link + wanted.query)


def test_forms() -> None:
    assert form_wish({"to": "/a/../b", "offer": "x"}) == Wish("", "x")
    assert form_wish({}) == Wish()
    assert Wish("a?b=1", "c").query == "to=a%3Fb%3D1&offer=c"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("/lab/tree/a%20b.ipynb?x=1", "lab/tree/a%20b.ipynb?x=1"),
        ("//evil.example/", "evil.example/"),
        ("a/../../b", ""),
        ("a/%2e%2e/b", ""),
        ("a%0d%0ab", ""),
        ("a\\b", ""),
        ("a%5cb", ""),
        ("é", "%C3%A9"),
        ("a?x\r\ny", ""),
        ("?x", ""),
    ],
)
def test_what_can_be_wanted(text: str, path: str) -> None:
    assert wanted_path(text) == path
    assert wanted_path(path) == path


def test_an_invitation_is_part_of_a_wish() -> None:
    wanted = link_wish("/invitation/a~1~2~x~0/lab/tree/b%20c.ipynb?y=1&offer=server")
    assert wanted == Wish("lab/tree/b%20c.ipynb?y=1&offer=server", invitation="a~1~2~x~0")
    assert wanted.link == "/invitation/a~1~2~x~0/lab/tree/b%20c.ipynb?y=1&offer=server"
    assert Wish("a", "x", "b~c").query == "to=a&offer=x&invitation=b~c"
    assert form_wish({"to": "a", "offer": "x", "invitation": "b~c"}) == Wish("a", "x", "b~c")
    assert Wish(invitation="/\r\n?").link == "/invitation/%2F%0D%0A%3F"
