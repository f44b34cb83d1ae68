from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.errors import OutputError
from moorage.notebooks.output import export
from moorage.notebooks.output.export import ExportClient, ExporterGone, convert
from moorage.notebooks.output.writer import Writer
from notebooks.made_up import encoded, notebook, png, write_notebook

pytest.importorskip("nbconvert")


def page(tmp_path, content, **options):
    (path,) = convert(content, "html", tmp_path / "page.html", **options)
    return path.read_text("utf-8")


def loaded(text):
    """Return what the page would fetch: scripts, styles, imports; comments in style sheets do not count."""
    return re.findall(r"""(?:src=|href=|import\(|url\()["']?(https?://[^"')]+)""", text)


def test_a_page_needs_nothing_but_itself(tmp_path):
    text = page(tmp_path, notebook(data={"image/png": encoded(png())}), title="Ünïcode")
    assert "<title>Ünïcode</title>" in text
    assert "data:image/png;base64," in text
    assert loaded(text) == []
    assert "mathjax" not in text.lower()
    assert "mermaid.esm" not in text


@pytest.mark.parametrize(
    ("content", "script"),
    [
        (notebook(heading=r"# Title $\alpha$"), "mathjax"),
        (notebook(data={"text/latex": "$$x$$"}), "mathjax"),
        (notebook(heading="```mermaid\ngraph TD;A-->B\n```"), "mermaid"),
        (notebook(data={"text/html": "<script>require(['x'])</script>"}), "require"),
        (notebook() | {"metadata": {"widgets": {}}}, "require"),
    ],
)
def test_only_what_is_used_is_loaded(tmp_path, content, script):
    text = page(tmp_path, content)
    others = {"mathjax", "mermaid", "require"} - {script}
    urls = " ".join(re.findall(r"https://[^\"' )]+\.(?:js|mjs)[^\"' )]*", text)).lower()
    assert script in urls
    assert not any(other in urls for other in others)


@pytest.mark.parametrize("heading", ["# Bokeh", "Bokeh\n=====", "text\n\n### Bokeh ###\n"])
def test_a_heading_is_not_taken_for_the_library_of_its_name(tmp_path, heading):
    script = {"application/javascript": "if (root.Bokeh !== undefined) root.Bokeh.embed()"}
    text = page(tmp_path, notebook(heading=heading, data=script))
    cleared = "<script>window.Bokeh = undefined;</script>"
    assert text.index("<head>") < text.index(cleared) < text.index("</head>") < text.index('id="Bokeh"')
    assert cleared not in page(tmp_path, notebook(heading="About Bokeh", data=script))
    assert cleared not in page(tmp_path, notebook(heading="# Vega", data=script))


def test_labels_of_widgets_have_the_font_of_the_page(tmp_path):
    assert ".jupyter-widgets { font-family: var(--jp-ui-font-family)" in page(
        tmp_path, notebook() | {"metadata": {"widgets": {}}}
    )


@pytest.mark.parametrize(
    ("tag", "gone"),
    [("remove-cell", {"SOURCE", "OUTPUT"}), ("remove-input", {"SOURCE"}), ("remove-output", {"OUTPUT"}),
     ("hide-cell", {"SOURCE", "OUTPUT"}), ("hide-input", {"SOURCE"}), ("exercise", {"SOURCE", "OUTPUT"}),
     ("other", set())],
)  # fmt: skip
@pytest.mark.parametrize("to", ["html", "md"])
def test_tags_leave_cells_out(tmp_path, tag, gone, to):
    content = notebook(source="SOURCE", metadata={"tags": [tag]}, data={"text/plain": "OUTPUT"})
    path, *_ = convert(content, to, tmp_path / f"page.{to}", remove_cells=["exercise"])
    text = path.read_text("utf-8")
    assert {word for word in ("SOURCE", "OUTPUT") if word not in text} == gone


def test_markdown_has_its_images_beside_it(tmp_path):
    content = notebook(data={"image/png": encoded(png())})
    path, image = convert(content, "md", tmp_path / "deep" / "a b.md")
    assert path.read_text("utf-8").startswith("# A title")
    assert image.parent == tmp_path / "deep" / "a b_files"
    assert image.read_bytes() == png()
    assert f"a%20b_files/{image.name}".replace(" ", "%20") in path.read_text("utf-8")


@pytest.mark.parametrize(
    "name", ["/tmp/moorage-planted", "../planted.md", "page_files/../../x", "page.md", "x.png"]
)
def test_a_file_that_an_exporter_would_write_elsewhere_ends_the_page(tmp_path, name, monkeypatch):
    def exported(self, node, resources):
        return "text", {"outputs": {name: b"planted"}}

    monkeypatch.setattr("nbconvert.MarkdownExporter.from_notebook_node", exported)
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="would be written to"):
        convert(notebook(), "md", tmp_path / "out" / "page.md")
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


@pytest.mark.parametrize("name", ["/etc/moorage-planted.png", "../../planted.png", "a.png"])
def test_an_attachment_stays_beside_its_page(tmp_path, name):
    content = notebook(heading=f"![x](attachment:{name})")
    content["cells"][0]["attachments"] = {name: {"image/png": encoded(png())}}
    page_file, *others = convert(content, "md", tmp_path / "out" / "page.md")
    assert page_file == tmp_path / "out" / "page.md"
    assert [path.parent for path in others] == [tmp_path / "out" / "page_files"]


def test_what_is_not_to_be_written_over_ends_the_page(tmp_path):
    content = notebook(data={"image/png": encoded(png())})
    write = Writer(tmp_path).write
    _, image = convert(content, "md", tmp_path / "page.md", write=write)
    convert(content, "md", tmp_path / "page.md", write=write)
    image.write_text("mine")
    with pytest.raises(OutputError, match="changed since"):
        convert(content, "md", tmp_path / "page.md", write=write)
    assert image.read_text() == "mine"


def test_relative_images_of_markdown_cells_are_embedded(tmp_path):
    (tmp_path / "logo.png").write_bytes(png())
    text = page(tmp_path, notebook(heading="![logo](logo.png)"), folder=tmp_path)
    assert 'src="data:image/png;base64,' in text
    assert 'src="logo.png"' in page(tmp_path, notebook(heading="![logo](logo.png)"))


def test_the_notebook_is_not_changed(tmp_path):
    content = notebook(metadata={"tags": ["remove-cell"]})
    before = repr(content)
    page(tmp_path, content)
    assert repr(content) == before


def test_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        convert(notebook(), "html", tmp_path / "file" / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.anyio
async def test_a_client_and_its_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, theirs = socket.socketpair()
    with (
        theirs,
        subprocess.Popen(
            [sys.executable, "-m", "moorage.notebooks.output.export_worker"], stdin=theirs, cwd="/"
        ) as process,
    ):
        theirs.close()
        source = write_notebook(tmp_path / "x.ipynb", notebook())
        async with ExportClient(ours) as client:
            assert await client.convert(Path("x.ipynb"), "html", Path("x.html")) == [tmp_path / "x.html"]
            with pytest.raises(OutputError, match="cannot be made") as caught:
                await client.convert(tmp_path / "missing.ipynb", "html", tmp_path / "y.html")
            assert "FileNotFoundError" in str(caught.value)
            assert await client.convert(source, "md", tmp_path / "x.md") == [tmp_path / "x.md"]
        assert process.wait(timeout=30) == 0
    assert "A title" in (tmp_path / "x.html").read_text("utf-8")


@pytest.mark.anyio
async def test_a_process_that_is_gone_is_an_error(tmp_path):
    ours, theirs = socket.socketpair()
    async with ExportClient(ours) as client:
        theirs.close()
        with pytest.raises(OutputError, match="ended"):
            await client.convert(tmp_path / "x.ipynb", "html", tmp_path / "x.html")


@pytest.mark.anyio
async def test_a_process_that_says_no_end_of_words_is_not_asked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_LINE_LIMIT", 1000)
    ours, theirs = socket.socketpair()
    with theirs:
        async with ExportClient(ours) as client:
            theirs.sendall(b"x" * 5000 + b"\n")
            with pytest.raises(ExporterGone, match="no end of words"):
                await client.convert(tmp_path / "x.ipynb", "html", tmp_path / "x.html")


@pytest.mark.anyio
async def test_the_answer_to_a_cancelled_request_is_passed_over(tmp_path):
    ours, theirs = socket.socketpair()
    with theirs:
        async with ExportClient(ours) as client:
            theirs.sendall(b'{"id": 0, "error": "stale"}\n{"id": 1, "ok": true, "files": ["fresh"]}\n')
            (path,) = await client.convert(tmp_path / "x.ipynb", "html", tmp_path / "x.html")
            assert path.name == "fresh"


@pytest.mark.anyio
async def test_a_client_that_was_not_entered(tmp_path):
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(OutputError):
        await ExportClient(ours).convert(tmp_path / "x.ipynb", "html", tmp_path / "x.html")


ERROR = {"output_type": "error", "ename": "E", "evalue": "FAILED-HERE", "traceback": ["FAILED-HERE"]}


@pytest.mark.parametrize("to", ["html", "md"])
@pytest.mark.parametrize(
    "tag", ["remove-output", "remove-cell", "remove-input", "hide-cell", "hide_output", "hide-input"]
)
def test_a_cell_that_failed_is_on_every_page(tmp_path, to, tag):
    content = notebook(source="SOURCE", metadata={"tags": [tag]}, data={"text/plain": "x"})
    content["cells"][-1]["outputs"] = [ERROR]
    path, *_ = convert(content, to, tmp_path / f"page.{to}")
    text = path.read_text("utf-8")
    assert "FAILED-HERE" in text
    assert "SOURCE" in text
    content["cells"][-1]["metadata"]["tags"].append("raises-exception")
    path, *_ = convert(content, to, tmp_path / f"page.{to}")
    assert ("FAILED-HERE" in path.read_text("utf-8")) == (tag in ("remove-input", "hide-input"))


@pytest.mark.parametrize("to", ["html", "md"])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_one_stream_can_be_left_out(tmp_path, to, name):
    content = notebook(source="SOURCE", metadata={"tags": [f"remove-{name}"]}, data={"text/plain": "x"})
    content["cells"][-1]["outputs"] = [
        {"output_type": "stream", "name": each, "text": f"WORDS-{each}"} for each in ("stdout", "stderr")
    ]
    path, *_ = convert(content, to, tmp_path / f"page.{to}")
    text = path.read_text("utf-8")
    assert f"WORDS-{name}" not in text
    assert f"WORDS-{'stderr' if name == 'stdout' else 'stdout'}" in text


@pytest.mark.parametrize(
    ("content", "script"),
    [
        (notebook(data={"text/html": "<p>$x$</p>"}), "mathjax"),
        (notebook(data={"text/latex": "x^2"}), "mathjax"),
        (
            notebook()
            | {"cells": [{"cell_type": "raw", "source": "<p>\\(x\\)</p>", "metadata": {}, "id": "r"}]},
            "mathjax",
        ),
        (notebook(data={"application/javascript": "require.config({})"}), "require"),
        (notebook(heading="<script>requirejs(['x'])</script>"), "require"),
        (notebook(data={"text/html": "<script>define('x', [])</script>"}), "require"),
    ],
)
def test_outputs_and_raw_html_get_what_they_need(tmp_path, content, script):
    urls = re.findall(r"https://[^\"' )]+\.js[^\"' )]*", page(tmp_path, content))
    assert any(script in url.lower() for url in urls)
