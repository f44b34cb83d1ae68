from __future__ import annotations

from pathlib import Path

from moorage.notebooks.planning.collect import SourceFile
from moorage.notebooks.planning.item import Item, documents_of
from moorage.notebooks.planning.settings import NotebookSettings


def test_every_format_has_its_place_and_the_notebook_always_one():
    output, private = Path("/out/x.ipynb"), Path("/private/1.ipynb")
    assert documents_of(output, ["ipynb", "md"], private) == {"ipynb": output, "md": Path("/out/x.md")}
    assert documents_of(output, ["html"], private) == {"html": Path("/out/x.html"), "ipynb": private}


def test_a_notebook_runs_beside_its_source_and_its_text_is_not_shown():
    file = SourceFile(Path("/docs/a/x.py"), "a/x.py", Path("/out/a/x.ipynb"))
    item = Item(file=file, settings=NotebookSettings(), data=b"secret", documents={})
    assert (item.name, item.directory) == ("a/x.py", Path("/docs/a"))
    assert "secret" not in repr(item)
