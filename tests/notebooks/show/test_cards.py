from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from moorage.notebooks.events import Failure
from moorage.notebooks.show import cards
from moorage.notebooks.show.cards import make_cards, relative
from notebooks.made_up import (
    ALL,
    CACHED,
    DIED,
    FAILED,
    FAILURE,
    OK,
    SKIPPED,
    encoded,
    notebook,
    png,
    write_notebook,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(*outcomes, page="report.html", executed=None):
    return make_cards(outcomes, Path(page), root="", out="out", executed=executed or {})


def test_a_card_tells_the_gist_of_its_notebook(folder):
    write_notebook(folder / "out/demos/box.ipynb", notebook(data={"image/png": encoded(png())}))
    (card,) = made(OK)
    assert (card.title, card.folder, card.file, card.status) == ("A title", "demos/", "box.py", "ok")
    assert card.picture.startswith("data:image/png;base64,")
    assert dict(card.facts) == {"time": "12.3 s", "cells": "12", "memory": "1.4 GiB"}
    assert [(link.label, link.href) for link in card.links] == [
        ("ipynb", "out/demos/box.ipynb"),
        ("html", "out/demos/box.html"),
        ("film.mp4", "out/demos/film.mp4"),
    ]
    assert card.page is not None
    assert card.detail is None


def test_links_are_relative_to_the_page(folder):
    (card,) = made(OK, page="reports/today/report.html")
    assert card.links[0].href == "../../out/demos/box.ipynb"


def test_the_executed_notebook_may_be_elsewhere(folder):
    elsewhere = write_notebook(folder / "cache/abc.ipynb", notebook(heading="# From the cache"))
    assert made(OK, executed={OK.source: elsewhere})[0].title == "From the cache"


@pytest.mark.parametrize(
    ("name", "url"),
    [("javascript:alert(1).ipynb", "javascript%3Aalert%281%29.ipynb"), ("a b#?%&.py", "a%20b%23%3F%25%26.py"),
     ("地.py", "%E5%9C%B0.py"), ('"><x', "%22%3E%3Cx"), ("\udcff", "%FF")],
)  # fmt: skip
def test_names_make_harmless_urls(folder, name, url):
    assert relative(name, Path("report.html")) == url


def test_without_a_document_the_file_names_the_card(folder):
    (card,) = made(OK)
    assert card.title == "box"
    assert card.picture == ""
    assert made(SKIPPED)[0].placeholder == SKIPPED.reason


def test_failures_have_details_and_skipped_ones_none(folder):
    by_status = {card.status: card for card in made(*ALL)}
    assert {status for status, card in by_status.items() if card.detail} == {"failed", "timeout", "died"}
    detail = by_status["failed"].detail
    assert [line.number for line in detail.source] == [88, 89, 90, 91]
    assert '<span class="a-red">ValueError</span>' in detail.traceback
    assert detail.files == ("demos/cavity.py:90", "out/demos/cavity.ipynb (cell 14)")
    assert dict(by_status["died"].facts)["attempts"] == "2"
    assert dict(by_status["died"].facts)["cells"] == "4/9"


def test_kernels_are_named_only_where_they_differ(folder):
    assert "kernel" not in dict(made(OK, CACHED)[0].facts)
    assert dict(made(OK, replace(CACHED, kernel="spec/ir"))[1].facts)["kernel"] == "spec/ir"


def test_long_failures_are_cut_and_say_so(folder):
    error = Failure(1, "E", "x", ("a" * 90_000 + "END",), "\n".join(map(str, range(1000))), 1)
    (card,) = made(replace(FAILED, error=error))
    assert len(card.detail.source) == 400
    assert card.detail.traceback.endswith("END")
    assert "600 lines of the cell and 50003 characters in the middle of the traceback" in card.detail.cut


def test_many_long_failures_stay_within_the_budget(folder, monkeypatch):
    monkeypatch.setattr(cards, "FAILURE_BUDGET", 1000)
    error = replace(FAILURE, traceback=("a" * 600,))
    first, second = made(replace(FAILED, error=error), replace(FAILED, source="b.py", error=error))
    assert first.detail.traceback
    assert second.detail.traceback == ""
    assert "many failures" in second.detail.cut


def test_pictures_stay_within_the_budget(folder, monkeypatch):
    monkeypatch.setattr(cards, "PICTURE_BUDGET", 1000)
    write_notebook(folder / "out/demos/box.ipynb", notebook(data={"image/png": encoded(png(12, 16))}))
    first, second = made(OK, replace(OK, source="again.py"))
    assert first.picture
    assert second.picture == ""
    assert second.placeholder == "The first plot is too large to show here."


def test_many_artefacts_are_counted(folder):
    (card,) = made(replace(OK, artifacts=tuple(f"demos/{at}.vtu" for at in range(100))))
    assert len(card.links) == 2 + 5 + 1
    assert (card.links[-1].label, card.links[-1].href) == ("95 more artefacts", "out")


def test_a_death_without_output_is_a_card(folder):
    (card,) = made(DIED)
    assert card.links == ()
    assert card.placeholder.startswith("KernelDied: the kernel was killed")
