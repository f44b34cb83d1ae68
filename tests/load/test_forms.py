"""What a page asks of a browser."""

from __future__ import annotations

import pytest

from moorage.load.forms import Refresh, read_html


def test_the_first_button_is_pressed() -> None:
    page = read_html(
        '<h1>A\n course.</h1><p class="verdict trouble">All are <b>in use</b></p><p>Else</p>'
        '<input name="outside" value="1"><form action="/start"><input type="hidden" name="token" '
        'value="a&amp;b"><button name="offer" value="one">One</button><button name="offer" value="two">Two'
        '</button></form><form action="/end"></form>'
    )
    form = page.form("/start")
    assert form is not None
    assert form.fields == {"token": "a&b", "offer": "one"}
    assert page.form("/end") is not None
    assert page.form("/other") is None
    assert page.heading == "A course. All are in use"


@pytest.mark.parametrize(
    ("content", "refresh"),
    [
        ("5;url=/queue?to=", Refresh(5, "/queue?to=")),
        ("0; URL=/ready", Refresh(0, "/ready")),
        ("2", Refresh(2, "")),
        ("soon", None),
    ],
)
def test_where_a_page_leads(content: str, refresh: Refresh | None) -> None:
    assert read_html(f'<meta http-equiv="Refresh" content="{content}">').refresh == refresh


def test_files_and_configuration() -> None:
    page = read_html(
        '<link rel="stylesheet" href="a.css"><link rel="icon" href="i.ico"><script src="m.js"></script>'
        '<script id="jupyter-config-data" type="application/json">{"a": 1}</script><script>x</script>'
    )
    assert page.files == ["a.css", "m.js"]
    assert page.config == '{"a": 1}'


def test_of_no_page_nothing() -> None:
    page = read_html('{"path": "/"}')
    assert (page.forms, page.refresh, page.files, page.heading) == ([], None, [], "")
