"""Links from document to document: in what is rendered they lead to what was rendered."""

from __future__ import annotations

import json
import re

import pytest

from moorage.notebooks.run import render

pytestmark = [pytest.mark.anyio, pytest.mark.real]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def links(path):
    return re.findall(r"\]\(<?([^)>]+)>?\)", path.read_text())


@pytest.fixture
def demos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moorage.toml").write_text("")  # one project, and one cache
    for name in ("a", "b c"):
        (tmp_path / "demos" / name).mkdir(parents=True)
    text = (
        "# # A\n#\n# [b](../b%20c/b.py#part) [c](<../b c/c.md>) [n](../b%20c/b.ipynb) [o](../b%20c/o.csv)\n"
    )
    (tmp_path / "demos/a/a.py").write_text(text + "\n# +\n1\n")
    (tmp_path / "demos/b c/b.py").write_text("# # B\n#\n# [back](../a/a.py)\n\n# +\n2\n")
    (tmp_path / "demos/b c/c.md").write_text("# C\n\n[b](b.py)\n\n```python\n3\n```\n")
    (tmp_path / "demos/b c/o.csv").write_text("1\n")
    return tmp_path


async def rendered(*sources, **rest):
    report = await render(list(sources), out="out", **rest)
    assert report.ok, report.outcomes
    return [outcome.status for outcome in report.outcomes]


async def test_in_notebooks_and_pages(demos):
    sources = ("demos", "demos/b c/c.md")
    await rendered(*sources, to=["ipynb", "html", "md"])
    out = demos / "out"
    for form in ("ipynb", "md"):
        names = (f"b.{form}#part", f"c.{form}", f"b.{form}", "o.csv")
        wanted = [f"../b%20c/{name}" for name in names]
        assert links(out / f"a/a.{form}") == wanted
        assert links(out / f"b c/c.{form}") == [f"b.{form}"]
    page = (out / "a/a.html").read_text()
    assert all(f'href="../b%20c/{name}"' in page for name in ("b.html#part", "c.html", "b.html", "o.csv"))
    assert 'href="../a/a.html"' in (out / "b c/b.html").read_text()


async def test_in_pages_alone_and_after_the_cache(demos):
    sources = ("demos", "demos/b c/c.md")
    await rendered(*sources, to=["html"])
    assert 'href="../b%20c/b.html#part"' in (demos / "out/a/a.html").read_text()
    # By itself the document leads to its source, as before; together again, the pages are made again.
    assert await rendered("demos/a/a.py", to=["html"]) == ["cached"]
    assert 'href="../b%20c/b.py#part"' in (demos / "out/a.html").read_text()
    assert await rendered(*sources, to=["html"]) == ["cached"] * 3
    assert 'href="../b%20c/b.html#part"' in (demos / "out/a/a.html").read_text()


async def test_outputs_keep_what_their_code_says(demos):
    (demos / "demos/a/a.py").write_text(
        "# # A\n#\n# [b](../b%20c/b.py)\n\n# +\nprint('[b](../b%20c/b.py)')\n"
    )
    await rendered("demos")
    cells = json.loads((demos / "out/a/a.ipynb").read_text())["cells"]
    assert "b.ipynb" in "".join(cells[0]["source"])
    assert "b.py" in "".join(cells[1]["outputs"][0]["text"])
