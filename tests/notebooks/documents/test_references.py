"""Relative links of documents: found in each form of a text, and led elsewhere."""

from __future__ import annotations

import json
import time

import pytest

from moorage.notebooks.documents.references import MOST, references, retargeted


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("![x](img/a.png) and [data](../d.csv)", ["img/a.png", "../d.csv"]),
        ('![x](a%20b.png "title") [y](<c d.txt>) [z](e.txt#top)', ["c d.txt", "a%20b.png", "e.txt#top"]),
        ("[one]: a.png\n[two]: <b.png>", ["a.png", "b.png"]),
        (
            '<img width=3 src=\'a.png\'><a href="b.zip">b</a><video\n poster=c.png src="d.mp4">',
            ["a.png", "b.zip", "d.mp4"],
        ),
        (
            "```{figure} a.png\n```\n{download}`the data <b.csv>` {download}`c.csv`",
            ["a.png", "b.csv", "c.csv"],
        ),
        (".. figure:: a.png\n.. image:: b.png", ["a.png", "b.png"]),
        ("[a](https://x.org/a.png) [b](/etc/passwd) [c](#top) ![d](attachment:d.png) [f](//x/f)", []),
        ("[a](a%00b) x[1](a, b)", ["a,"]),
    ],
)
def test_links_of_a_text_are_found_in_each_of_its_forms(text, links):
    assert references(text.encode()) == links
    script = "".join(f"# {line}\n" for line in text.split("\n"))
    assert set(links) <= {*references(script.encode()), "b.png"}
    cell = {"cell_type": "markdown", "source": text.splitlines(keepends=True)}
    assert set(links) <= {*references(json.dumps(cell, indent=1).encode()), "b.png"}


def test_finding_links_takes_no_time_and_has_an_end():
    began = time.process_time()
    assert len(references(b"".join(b"[x](f%d.png)" % number for number in range(100_000)))) == MOST
    for text in (b"](", b"<a ", b"<a href=", b"]: ", b"{download}`<", b"](<", b"<img src='"):
        references(text * 200_000)
    assert time.process_time() - began < 30


@pytest.mark.parametrize(
    ("text", "led"),
    [
        ("[a](b.py) and [c](b.py#top)", "[a](b.html) and [c](b.html#top)"),
        ("[a](<b c.py>) [x](b.py 'title')", "[a](<d.html>) [x](b.html 'title')"),
        ("[one]: b.py\n<a class=x href='b.py'>", "[one]: b.html\n<a class=x href='b.html'>"),
        ("b.py, (b.py), [b.py], `f(b.py)`", "b.py, (b.py), [b.py], `f(b.py)`"),
        ("[a](other/b.py) ![i](b.png)", "[a](other/b.py) ![i](b.png)"),
    ],
)
def test_links_of_markdown_are_led_elsewhere_and_nothing_else(text, led):
    links = {"b.py": "b.html", "b.py#top": "b.html#top", "b c.py": "d.html"}
    cells = [
        {"cell_type": "markdown", "source": text.splitlines(keepends=True)},
        {"cell_type": "code", "source": text},
    ]
    changed = retargeted({"cells": cells, "metadata": {}}, links)["cells"]
    assert changed == [{"cell_type": "markdown", "source": led}, {"cell_type": "code", "source": text}]


def test_leading_links_takes_time_in_proportion_to_the_text():
    began = time.process_time()
    for text in ("](", "<a ", "<a href=", "]: ", "](<"):
        retargeted({"cells": [{"cell_type": "markdown", "source": text * 100_000}]}, {"b": "c"})
    assert time.process_time() - began < 30
