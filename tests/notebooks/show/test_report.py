from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from msgspec.structs import replace

from moorage.errors import OutputError
from moorage.notebooks.events import INTERRUPTED, Failure, Note, Outcome, RunFinished, RunStarted
from moorage.notebooks.show.record import RunRecord
from moorage.notebooks.show.report import About, report_page, write_index, write_report
from moorage.stylesheet import stylesheet
from notebooks.made_up import (
    ALL,
    CACHED,
    DIED,
    FAILED,
    HOSTILE,
    OK,
    SKIPPED,
    TIMEOUT,
    encoded,
    notebook,
    png,
    run,
    write_notebook,
)

ABOUT = About("demos", "1.2.3", datetime(2030, 1, 2, 3, 4, tzinfo=UTC))
VOID = frozenset({"meta", "img", "input", "link", "br"})


class Page(HTMLParser):
    """Reads a page and holds it to what every page must be: well nested, unique ids, nothing from outside."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.targets, self.attributes, self._open = [], [], [], [], []
        self._said = []
        self.feed(text)
        self.close()
        self.words = "".join(self._said)
        assert self._open == []
        assert len(self.ids) == len(set(self.ids))
        assert set(self.targets) <= set(self.ids)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value)
            elif name == "href" and value.startswith("#"):
                self.targets.append(value[1:])
            elif name == "href":
                assert ":" not in value
            elif name == "src":
                assert re.fullmatch(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self._said.append(f" {data}")


def recorded(*outcomes, **options):
    record = RunRecord()
    for event in run(*outcomes, **options):
        record.handle(event)
    return record


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(record, **executed):
    return report_page(Path("report.html"), record, ABOUT, executed=executed)


def test_the_report_has_its_parts(folder):
    write_notebook(folder / "out/demos/box.ipynb", notebook(data={"image/png": encoded(png())}))
    page = Page(report(recorded(*ALL)))
    assert page.tags.count("h1") == 1
    assert {"header", "main", "footer"} <= set(page.tags)
    assert page.tags.count("details") == 3
    assert page.tags.count("img") == 1
    assert ("alt", "First plot of A title") in page.attributes
    assert "script" not in page.tags
    words = " ".join(page.words.split())
    assert "3 of 6 notebooks did not end well, 1 skipped." in words
    assert "Wall time 1 min 10 s" in words
    assert "flux = u + T" in words
    assert "demos/cavity.py:90" in words
    assert "python3 is the nearest by language" in words


def test_every_colour_of_the_timeline_is_in_the_legend(folder):
    cached = replace(CACHED, started=1.0, worker=0, seconds=0.1)
    text = report(recorded(OK, cached, FAILED, DIED, TIMEOUT))
    legend = re.search(r'<p class="legend".*?</p>', text)[0]
    kinds = set(re.findall(r'<a class="bar (\w+)', text))
    assert set(re.findall(r'<span class="(\w+)">', legend)) == kinds
    assert kinds == {"ok", "cached", "failed", "timeout", "died", "retried"}


def test_each_bar_is_one_link_that_tells_what_it_is(folder):
    narrow = replace(OK, source="narrow.py", started=70.0, seconds=0.01, worker=1)
    text = report(recorded(OK, narrow, TIMEOUT))
    bars = re.findall(r'<li><a class="bar [^>]*>.*?</a></li>', text)
    assert len(bars) == 3
    for bar in bars:
        assert bar.count("<a ") == 1
        assert "tabindex" not in bar
        told = re.search(r'aria-label="([^"]+)"', bar)[1]
        assert f'<span class="tip" aria-hidden="true">{told}</span>' in bar
    assert '<span class="label" aria-hidden="true">box.py</span>' in bars[0]
    assert "label" not in bars[1].replace("aria-label", "")
    css = (files("moorage.notebooks.show") / "pages" / "style.css").read_text("utf-8")
    assert ".bar:hover .tip, .bar:focus-visible .tip { visibility: visible; }" in css


def test_cards_lead_to_their_page_and_to_their_failure(folder):
    text = report(recorded(OK, replace(FAILED, exports=("out/demos/cavity.html",))))
    assert '<a class="whole" href="out/demos/box.html">box</a>' in text
    assert '<a class="whole" href="out/demos/cavity.html">cavity</a>' in text
    assert '<a href="#notebook-2-failure">failed</a>' in text


def test_cached_cards_say_so_and_their_counts_are_whole(folder):
    text = report(recorded(replace(CACHED, cells=12)))
    assert re.search(r'class="card cached".*</svg>cached</p>', text, re.DOTALL)
    assert "<dt>cells</dt><dd>12</dd>" in text


def test_what_an_interruption_left_undone_was_not_run(folder):
    left = [Outcome(name, None, "skipped", reason=INTERRUPTED) for name in "bc"]
    text = report(recorded(OK, *left, interrupted=True))
    words = " ".join(Page(text).words.split())
    assert "Interrupted. The notebook ended well. 2 notebooks not run." in words
    assert "Notebooks 1" in words
    assert 'class="card skipped"' not in text


def test_failures_are_unfolded(folder):
    assert re.search(r'<details class="failure failed" id="[^"]+" open>', report(recorded(FAILED)))


def test_the_policy_forbids_scripts_and_the_network(folder):
    text = report(recorded(*ALL))
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert "http:" not in text.replace("http://www.w3.org", "")
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_hostile_content_is_shown_and_does_nothing(folder):
    hostile = notebook(heading=f"# {HOSTILE}", data={"image/svg+xml": HOSTILE})
    write_notebook(folder / "out/demos/box.ipynb", hostile)
    error = Failure(1, HOSTILE, HOSTILE, (HOSTILE, f"\x1b[31m{HOSTILE}"), HOSTILE, 1)
    bad = replace(
        FAILED, source=f"{HOSTILE}.py", error=error, output=HOSTILE, artifacts=(HOSTILE,), kernel=HOSTILE
    )
    good = replace(OK, source='javascript:alert(1)"', exports=("javascript:alert(1).html",))
    skipped = replace(SKIPPED, reason=HOSTILE)
    record = recorded(good, bad, skipped)
    record.handle(Note("warning", HOSTILE, HOSTILE))
    for about in (ABOUT, About(HOSTILE, HOSTILE)):
        page = Page(report_page(Path("report.html"), record, about, executed={}))
        assert "script" not in page.tags
        assert "alert(1)" in page.words
    write_index(Path("index.html"), record, About(HOSTILE, HOSTILE))
    assert "script" not in Page((folder / "index.html").read_text("utf-8")).tags


def test_an_empty_run_has_a_report(folder):
    record = RunRecord()
    record.handle(RunStarted((), 4, "", "out"))
    record.handle(RunFinished(0.0, ()))
    page = Page(report(record))
    assert "Nothing was rendered." in page.words
    assert "details" not in page.tags


def test_an_interrupted_run_says_so(folder):
    record = recorded(OK, interrupted=True)
    record.handle(RunStarted((OK.source, "b", "c"), 4, "", "out"))
    words = " ".join(Page(report(record)).words.split())
    assert "Interrupted. The notebook ended well. 2 notebooks not run." in words


def test_five_hundred_notebooks_stay_small(folder):
    many = notebook(data={"image/png": encoded(png(300, 200))})
    assert len(png(300, 200)) > 150_000
    write_notebook(folder / "out/demos/box.ipynb", many)
    error = Failure(1, "E", "x", ("t" * 50_000,), "s" * 10_000, 1)
    good = [replace(OK, source=f"{at}.py", worker=at % 32, started=at / 10) for at in range(400)]
    bad = [replace(FAILED, source=f"bad_{at}.py", error=error) for at in range(100)]
    write_report(Path("report.html"), recorded(*good, *bad, jobs=32), ABOUT)
    size = (folder / "report.html").stat().st_size
    assert size < 24_000_000
    Page((folder / "report.html").read_text("utf-8"))


def test_unicode_and_very_long_names(folder):
    names = ["地震波/伝播.ipynb", "x" * 2000 + ".py", "\udcff\udc80.py", "a\nb\tc.py", "../up/é.py"]
    write_report(Path("report.html"), recorded(*(replace(OK, source=name) for name in names)), ABOUT)
    text = (folder / "report.html").read_text("utf-8")
    assert "地震波/" in Page(text).words


def test_the_index_leads_to_the_pages(folder):
    write_notebook(folder / "out/demos/box.ipynb", notebook(data={"image/png": encoded(png())}))
    write_index(Path("out/index.html"), recorded(OK, CACHED), ABOUT)
    text = (folder / "out/index.html").read_text("utf-8")
    page = Page(text)
    assert '<a class="whole" href="demos/box.html">A title</a>' in text
    assert "2 notebooks" in page.words
    assert page.tags.count("img") == 1


def test_an_index_of_nothing(folder):
    write_index(Path("index.html"), recorded(), ABOUT)
    assert "No notebook was rendered." in Page((folder / "index.html").read_text("utf-8")).words


def test_a_page_that_cannot_be_written_is_an_output_error(folder):
    (folder / "file").write_text("")
    with pytest.raises(OutputError):
        write_report(folder / "file" / "report.html", recorded(OK), ABOUT)


# -- colours ---------------------------------------------------------------------------------------


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_colour_is_readable_on_every_ground(scheme):
    css = stylesheet()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in css.split("@media", 2)[:2]
    )
    colours = light | dark if scheme == "dark" else light
    statuses = ("ok", "cached", "failed", "timeout", "died", "skipped")
    for name in ("text", "muted", "accent", "red", "green", "yellow", "blue", "magenta", "cyan", *statuses):
        for ground in ("page", "surface", "sunk"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for status in statuses:
        assert contrast(colours["on-bar"], colours[status]) >= 4.5, status
    for name in ("text", "muted"):
        assert contrast(colours[name], colours["raised"]) >= 4.5, name


def test_every_status_has_its_own_mark(folder):
    text = report(recorded(*ALL))
    marks = {re.search(rf'<label class="{status}">.*?(<svg.*?</svg>)', text, re.DOTALL)[1] for status in
             ("ok", "cached", "failed", "timeout", "died", "skipped")}  # fmt: skip
    assert len(marks) == 6


def test_outcomes_of_an_unknown_worker_are_not_on_the_timeline(folder):
    page = Page(report(recorded(Outcome("a.py", None, "failed", 1.0, error=Failure(0, "E", "x")))))
    assert "timeline" not in page.ids
