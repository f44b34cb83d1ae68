from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.notebooks.show.gist import Gist, Picture, gist, read_gist, reduced
from notebooks.made_up import encoded, notebook, png, write_notebook


def titled(source):
    return gist({"cells": [{"cell_type": "markdown", "source": source}]})


@pytest.mark.parametrize(
    ("source", "title", "words"),
    [
        (
            "# A *fine* `title` #\n\nSome [words](x).\nAnd more.\n\nNot.",
            "A fine title",
            "Some words. And more.",
        ),
        ("A title\n=======\nwords", "A title", "words"),
        ("<h1>no</h1>\n\n## Two <b>x</b>", "Two x", "no"),
        ("snake_case stays", "", "snake_case stays"),
        ("#hashtag", "", "#hashtag"),
        ("", "", ""),
    ],
)
def test_title_and_first_words(source, title, words):
    assert titled(source) == Gist(title, words)
    assert titled([line + "\n" for line in source.split("\n")]) == Gist(title, words)


def test_title_and_words_may_be_cells_apart():
    cells = [{"cell_type": "markdown", "source": "# T"}, {"cell_type": "code", "source": "# no"}]
    assert gist({"cells": [*cells, {"cell_type": "markdown", "source": "W"}]}) == Gist("T", "W")


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg"])
def test_the_first_picture_is_found(mime):
    found = gist(notebook(data={"text/plain": ["fig"], mime: encoded(png())})).picture
    assert found == Picture(mime, png())
    assert found.uri.startswith(f"data:{mime};base64,iVBOR")


def test_svg_is_taken_as_bytes_that_cannot_leave_their_uri():
    svg = ["<svg xmlns='http://www.w3.org/2000/svg'>", '"><script>alert(1)</script></svg>']
    found = gist(notebook(data={"image/svg+xml": svg})).picture
    assert found is not None
    assert found.data == "".join(svg).encode()
    assert "<" not in found.uri
    assert '"' not in found.uri


def test_what_is_no_base64_is_no_picture():
    assert gist(notebook(data={"image/png": 'x"><script>'})).picture is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["cells", "cell_type", "source", "outputs", "data", "image/png", "markdown"]), inner
    ),
)  # fmt: skip


@settings(deadline=None)
@given(json_values)
def test_any_shape_has_a_gist(value):
    assert isinstance(gist(value), Gist)
    assert isinstance(gist({"cells": [{"cell_type": "markdown", "source": value, "outputs": value}]}), Gist)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_unreadable_files_have_an_empty_gist(tmp_path, content):
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    assert read_gist(path) == Gist()


def test_missing_files_and_other_documents_have_an_empty_gist(tmp_path):
    assert read_gist(tmp_path / "no.ipynb") == Gist()
    other = tmp_path / "x.html"
    other.write_text(json.dumps(notebook()))
    assert read_gist(other) == Gist()
    assert read_gist(write_notebook(tmp_path / "x.ipynb", notebook())).title == "A title"


def test_small_pictures_stay_as_they_are():
    small = Picture("image/png", png())
    assert reduced(small, 10_000) is small


def test_large_svg_is_left_out():
    assert reduced(Picture("image/svg+xml", b"x" * 100), 50) is None


def test_broken_pictures_are_left_out():
    assert reduced(Picture("image/png", b"x" * 99), 50) is None
    assert reduced(Picture("image/png", png(200, 200)[:-50]), 50) is None


def test_large_pictures_are_scaled_down():
    image = pytest.importorskip("PIL.Image")
    large = Picture("image/png", png(1200, 900))
    small = reduced(large, 30_000)
    assert small is not None
    assert small.mime == "image/jpeg"
    assert len(small.data) <= 30_000
    assert image.open(io.BytesIO(small.data)).size == (640, 480)


def test_enormous_pictures_are_not_decoded():
    pytest.importorskip("PIL.Image")
    bomb = Picture("image/png", png(60_000, 60_000, noise=b"\x00" * 1000))
    assert reduced(bomb, 100) is None
