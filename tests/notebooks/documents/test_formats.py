"""Texts through jupytext."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from foreign_user import give_away
from moorage.errors import DocumentError
from moorage.notebooks.documents import formats
from moorage.notebooks.documents.layout import dumps
from moorage.notebooks.documents.libraries import load_jupytext

FILES = Path(__file__).parent / "files"
TEXTS = sorted(path for path in FILES.iterdir() if path.suffix != ".ipynb")


def read(name):
    return formats.read(FILES / name, (FILES / name).read_bytes())


def cells(reading, kind="code"):
    return [cell["source"] for cell in reading.notebook["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("light.py", "py:light"),
        ("header.py", "py:light"),
        ("percent.py", "py:percent"),
        ("hydrogen.py", "py:hydrogen"),
        ("gallery.py", "py:sphinx"),
        ("gallery_hashes.py", "py:sphinx"),
        ("myst.md", "md:myst"),
        ("plain.md", "md:markdown"),
        ("report.Rmd", "Rmd:rmarkdown"),
        ("rod.jl", "jl:light"),
        ("rod.R", "R:percent"),
        ("rod.js", "js:light"),
    ],
)
def test_formats_are_recognised(name, kind):
    assert read(name).format == kind


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_there_and_back(path):
    """What is written is a valid notebook, the same bytes each time, and jupytext's own but for the ids."""
    first = formats.read(path, path.read_bytes())
    data = dumps(first.notebook)
    assert data == dumps(formats.read(path, path.read_bytes()).notebook)

    jupytext = load_jupytext()
    import nbformat

    nbformat.validate(nbformat.reads(data.decode(), as_version=nbformat.NO_CONVERT))
    if path.name not in {"gallery.py", "gallery_hashes.py", "plain.md"}:  # read differently on purpose
        wanted = json.loads(jupytext.writes(jupytext.read(path), "ipynb"))
        got = json.loads(data)
        for cell in wanted["cells"] + got["cells"]:
            del cell["id"]
        assert got == wanted


@pytest.mark.parametrize("name", ["light.py", "percent.py", "myst.md", "report.Rmd", "rod.jl"])
def test_back_to_text_gives_the_same_code(name):
    jupytext = load_jupytext()
    import nbformat

    first = read(name)
    node = nbformat.from_dict(first.notebook)
    text = jupytext.writes(node, first.format)
    again = formats.read(FILES / name, text.encode())
    assert cells(again) == cells(first)


def test_light_cells_and_tags():
    reading = read("light.py")
    assert cells(reading, "markdown")[0].startswith("# Heat in a rod")
    by_tag = {
        tag: (cell["cell_type"], cell["source"])
        for cell in reading.notebook["cells"]
        for tag in cell["metadata"].get("tags", [])
    }
    assert by_tag["parameters"] == ("code", "steps = 10\nwidth = 1.0")
    assert by_tag["exercise"] == ("markdown", "Change `steps` and run again.")
    assert by_tag["active-ipynb"] == ("code", '%matplotlib inline\nprint("only in notebooks", steps)')
    assert by_tag["active-py"] == ("raw", 'print("only in the script")')
    assert "x = [math.sin(i / steps) for i in range(steps)]\n\ny = sum(x)" in cells(reading)


def test_lines_lead_to_the_source():
    reading = read("light.py")
    text = (FILES / "light.py").read_text("utf-8").split("\n")
    sources = {index: cell["source"] for index, cell in enumerate(reading.notebook["cells"])}
    assert len(reading.lines) == len(cells(reading))
    for index, line in reading.lines.items():
        assert sources[index].split("\n")[0] in text[line - 1]


def test_lines_of_commented_magics(tmp_path):
    text = b'# +\nx = 1\n\n# + tags=["active-ipynb"]\n# import a\n# %load -s b c.py\n# !ls\n'
    assert formats.read(tmp_path / "x.py", text).lines == {0: 2, 1: 5}


def test_a_first_line_that_the_text_does_not_hold_is_counted():
    reading = read("percent.py")
    index = max(reading.lines)
    assert reading.notebook["cells"][index]["source"] == "%%bash\nls"
    assert reading.lines[index] == 10


def test_gallery_prose_is_prose():
    reading = read("gallery.py")
    assert cells(reading, "markdown")[1].startswith("Prose in :math:`RST`.")
    assert cells(reading)[-2:] == ["x = math.pi", "y = 2 * x"]
    assert cells(read("gallery_hashes.py"), "markdown")[1] == "One block of prose."


@pytest.mark.parametrize(
    "text",
    [
        '"""A docstring without title."""\n# %%\nx = 1\n',
        '"""\nTitle\n=====\n"""\n# %% [markdown]\n# percent\n',
        '"""\nTitle\n=====\n"""\n# +\nx = 1\n',
        '"""\nA title\n===\n"""\nx = 1\n',
        '"""\nProse about it.\n\nParameters\n----------\nx : int\n"""\nx = 1\n',
        '"""\n======\nTitle\n=====\n"""\nx = 1\n',
        '"""\nTitle\n=====\n"""\n# In[1]:\nx = 1\n',
        '"""\nTitle\n=====\n"""\n# region\nx = 1\n# endregion\n',
        '"""Title.\n\n====\n"""\nx = 1\n',
        '"""\n"""\nx = 1\n',
        "x = 1\n",
        "#" * 79 + "\n" + "\n" * 50 + "x = 1\n",
    ],
)
def test_other_scripts_are_no_gallery(text):
    assert formats.as_gallery(text) is None


@pytest.mark.parametrize(
    "docstring",
    [
        '"""\nTitle\n=====\n\nProse.\n"""',
        '"""Title\n========\n"""',
        'r"""\n=====\nTitle\n=====\n"""',
        '"""\n.. _label:\n\n=======\n Title\n=======\n"""',
        '# Author: X\n\n"""\n    Title\n    ~~~~~\n    Prose.\n"""',
        "#!/usr/bin/env python\n'''\nTitle\n-----\n'''",
    ],
)
def test_a_titled_docstring_and_code_without_any_marker_are_a_gallery_script(docstring):
    text = docstring + "\n\nimport math\n\n# a comment\n\nfigure = 1\n\nprint(figure)\n"
    reading = formats.read(Path("x.py"), text.encode())
    assert reading.format == "py:sphinx"
    assert "Title" in cells(reading, "markdown")[0]
    assert cells(reading)[-1] == "import math\n\n# a comment\n\nfigure = 1\n\nprint(figure)"


def test_a_configuration_beside_the_source_is_honoured(tmp_path):
    (tmp_path / "jupytext.toml").write_text("split_at_heading = true\n")
    source = tmp_path / "page.md"
    source.write_text("# One\n\ntext\n\n# Two\n\ntext\n")
    assert len(cells(formats.read(source, source.read_bytes()), "markdown")) == 2


def test_windows_line_ends_are_read(tmp_path):
    reading = formats.read(tmp_path / "x.py", b"# %%\r\na = 1\r\nb = 2\r\n")
    assert cells(reading) == ["a = 1\nb = 2"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.md", "---\nkernelspec:\n  name: xpython\n---\n\n```{code-cell}\n1\n```\n"),
        (
            "x.md",
            "---\nkernelspec:\n  language: python\n  name: xpython\na: 1\n---\n\n```{code-cell}\n1\n```\n",
        ),
        ("x.py", "# ---\n# jupyter:\n#   kernelspec:\n#     name: xpython\n# ---\n\n1\n"),
    ],
)  # fmt: skip
def test_a_kernelspec_of_a_name_alone_is_enough(tmp_path, name, text):
    reading = formats.read(tmp_path / name, text.encode())
    assert reading.notebook["metadata"]["kernelspec"]["name"] == "xpython"
    assert reading.notebook["metadata"]["kernelspec"]["display_name"] == "xpython"
    assert list(reading.lines.values()) == [text[: text.index("\n1\n")].count("\n") + 2]


def test_dates_in_a_header_are_text(tmp_path):
    header = b"---\nkernelspec:\n  name: python3\nmyst:\n  day: 2026-01-02\n---\n\n```{code-cell}\n1\n```\n"
    dumps(formats.read(tmp_path / "x.md", header).notebook)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.py", b"", "is empty"),
        ("x.py", b" \n", "is empty"),
        ("x.py", b"\x7fELF\0\0", "is a binary file"),
        ("x.py", b"# \xff\n", "is not UTF-8"),
        ("x.py", b"<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> topic\n", "merge conflict"),
        ("x.md", b"---\nkernelspec: [\n---\n\n```{code-cell}\n1\n```\n", "cannot be read as a notebook"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, name, data, says):
    with pytest.raises(DocumentError, match=says) as caught:
        formats.read(tmp_path / name, data)
    assert caught.value.why
    assert caught.value.do


def test_a_format_that_needs_a_program_says_which(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DocumentError, match="quarto") as caught:
        formats.read(tmp_path / "x.qmd", b"---\njupyter: python3\n---\n")
    assert "Install" in caught.value.do


def test_the_table_of_scripts_is_jupytexts():
    load_jupytext()
    from jupytext.formats import NOTEBOOK_EXTENSIONS
    from jupytext.languages import _SCRIPT_EXTENSIONS

    known = {suffix: (entry["language"], entry["comment"]) for suffix, entry in _SCRIPT_EXTENSIONS.items()}
    assert known.items() <= formats.SCRIPTS.items()
    assert {*NOTEBOOK_EXTENSIONS} <= {".ipynb", *formats.SCRIPTS, *formats.MARKDOWN}


@pytest.mark.skipif(shutil.which("pandoc") is not None, reason="pandoc is here and reads it")
def test_a_document_of_pandocs_own_cells_is_not_taken_for_prose():
    text = b'# Report\n\n::: {#a1 .cell .code tags="[]"}\n``` python\nprint(1)\n```\n:::\n'
    with pytest.raises(DocumentError, match="pandoc"):
        formats.read(Path("report.md"), text)


def test_equal_cells_are_found_one_after_the_other():
    text = "# %%\n1\n" * 3000
    cells = [{"cell_type": "code", "source": "1"} for _ in range(3000)]
    cells.insert(7, {"cell_type": "code", "source": "is not there"})
    lines = formats.cell_lines({"cells": cells}, text)
    assert [lines[n] for n in (0, 1, 8, 3000)] == [2, 4, 16, 6000]
    assert 7 not in lines


def test_jupytexts_configuration_of_another_user_is_not_run(tmp_path, monkeypatch):
    monkeypatch.delenv("MOORAGE_TRUST", raising=False)
    shared, document = tmp_path / "tmp", tmp_path / "tmp/mine/a.py"
    document.parent.mkdir(parents=True)
    planted = shared / ".jupytext.py"
    planted.write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\nc.formats = 'ipynb,py:percent'\n")
    formats.read(document, b"x = 1\n")
    assert (tmp_path / "ran").exists(), "jupytext runs it, or this shows nothing"
    (tmp_path / "ran").rmdir()
    shared.chmod(0o1777)
    give_away(planted)
    (shared / "pyproject.toml").write_text("no TOML")
    give_away(shared / "pyproject.toml")
    assert cells(formats.read(document, b"x = 1\n")) == ["x = 1"]
    assert not (tmp_path / "ran").exists()
    give_away(shared)
    shared.chmod(0o755)
    with pytest.raises(DocumentError, match="MOORAGE_TRUST"):
        formats.read(document, b"x = 1\n")


class Parsing:
    """jupytext's parser, which is held until it may go on, and counts how many are in it at once."""

    def __init__(self, monkeypatch) -> None:
        self.inside, self.most = 0, 0
        self.begun, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        self._jupytext = load_jupytext()
        self._reads = self._jupytext.reads
        monkeypatch.setattr(self._jupytext, "reads", self.reads)

    def reads(self, *args, **options):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.begun.release()
        assert self.may_end.acquire(timeout=60)
        self.inside -= 1
        return self._reads(*args, **options)

    def read(self, count):
        threads = [
            threading.Thread(target=formats.read, args=(Path(f"{at}.py"), b"# %%\n1\n"))
            for at in range(count)
        ]
        for each in threads:
            each.start()
        return threads


def test_texts_are_parsed_one_at_a_time(monkeypatch):
    monkeypatch.setattr(formats, "PATIENCE", 60.0)
    parsing = Parsing(monkeypatch)
    threads = parsing.read(4)
    for _ in threads:
        assert parsing.begun.acquire(timeout=60)
        parsing.may_end.release()
    for each in threads:
        each.join()
    assert parsing.most == 1


def test_a_text_that_takes_long_stops_no_other(monkeypatch):
    monkeypatch.setattr(formats, "PATIENCE", 0.01)
    parsing = Parsing(monkeypatch)
    threads = parsing.read(3)
    for _ in threads:
        assert parsing.begun.acquire(timeout=60)
    assert parsing.most == 3
    parsing.may_end.release(3)
    for each in threads:
        each.join()
