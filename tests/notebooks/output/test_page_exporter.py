"""Images in pages: found however a text names them, read from regular files only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("nbconvert")

from moorage.notebooks.output import page_exporter
from moorage.notebooks.output.export import convert
from moorage.notebooks.output.page_exporter import embedded, with_images
from notebooks.made_up import encoded, notebook, png

URI = f"data:image/png;base64,{''.join(encoded(png()).split())}"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "book"
    folder.mkdir()
    for name in ("a.png", "a b.png", "100%25.png"):
        (folder / name).write_bytes(png())
    (tmp_path / "outside.png").write_bytes(png())
    return folder


@pytest.mark.parametrize(
    "name", ["a.png", "a%20b.png", "a b.png", "a.png?v=1#x", "100%25.png", "./x/../a.png"]
)
def test_images_beside_the_notebook_are_embedded(folder, name):
    assert embedded(name, folder, {}) == URI


@pytest.mark.parametrize(
    "name",
    ["../outside.png", "/etc/x.png", "https://x.org/a.png", "//x/a.png", "gone.png", "a%00.png", "#a", ""],
)
def test_others_stay_links(folder, name):
    assert embedded(name, folder, {}) is None


def test_devices_pipes_other_kinds_and_giants_stay_links(folder, monkeypatch):
    (folder / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    (folder / "notes.txt").write_text("x")
    for name in ("zero.png", "pipe.png", "notes.txt"):
        assert embedded(name, folder, {}) is None
    monkeypatch.setattr(page_exporter, "LARGEST_IMAGE", len(png()) - 1)
    assert embedded("a.png", folder, {}) is None


def test_attachments_are_found_by_their_escaped_names_too():
    attachments = {"a b.png": {"image/png": encoded(png())}}
    assert embedded("attachment:a%20b.png", Path(), attachments) == URI
    assert embedded("attachment:gone.png", Path(), attachments) is None


def test_tags_of_html_keep_what_they_have(folder):
    assert with_images("<b>", folder) == "<b>"
    text = "<IMG alt='x' data-src=a.png SRC='a%20b.png' width=3><img src=a.png><img src='gone.png'>"
    assert with_images(text, folder) == (
        f"<IMG alt='x' data-src=a.png SRC=\"{URI}\" width=3><img src=\"{URI}\"><img src='gone.png'>"
    )


def test_a_page_embeds_images_of_every_kind_of_text(folder):
    heading = (
        "![](a%20b.png) <b>bold</b> <img src='a.png'>\n\n![](attachment:gone.png) ![](attachment:x%20y.png)"
    )
    content = notebook(heading=heading, data={"text/html": "<img src='a.png'>"})
    content["cells"][0]["attachments"] = {"x y.png": {"image/png": encoded(png())}}
    (page,) = convert(content, "html", folder / "page.html", folder=folder)
    text = page.read_text("utf-8")
    assert text.count(URI) == 4
    assert "<b>bold</b>" in text
