from __future__ import annotations

import subprocess
import sys
from datetime import date

from moorage.notebooks.documents.libraries import plain


def test_what_libraries_return_becomes_plain_json_values():
    class Node(dict):
        pass

    made = plain(Node({1: (date(2024, 5, 6), None, 1.5), "path": ValueError("x")}))
    assert made == {"1": ["2024-05-06", None, 1.5], "path": "x"}
    assert type(made) is dict


def test_jupytext_is_loaded_lean_and_stays_complete():
    script = """
import sys, threading
from moorage.notebooks.documents.libraries import load_jupytext
threads = [threading.Thread(target=load_jupytext) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
needless = {"jupyter_server", "rfc3987_syntax", "rfc3986_validator", "markdown_it", "arrow", "tornado"}
needless &= set(sys.modules)
assert not needless, needless
assert None not in sys.modules.values()
import jupytext
assert jupytext is load_jupytext()
try:
    jupytext.nothing_of_the_kind
except AttributeError:
    pass
try:
    import jupyter_server
except ImportError:
    pass
else:
    from jupytext import TextFileContentsManager
    assert "ContentsManager" in TextFileContentsManager.__name__
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_what_is_loaded_late_does_what_it_did():
    script = """
import sys
from moorage.notebooks.documents.libraries import load_jupytext
jupytext = load_jupytext()
from jsonschema import FormatChecker
checks = {"uri": "https://a.example/", "date-time": "2026-11-30T00:00:00Z", "iri": "https://a.example/"}
checker = FormatChecker()
known = [name for name in checks if name in checker.checkers]
assert known, "none of the optional formats is installed"
for name in known:
    assert checker.conforms(checks[name], name), name
    assert not checker.conforms("no such thing", name), name
loaded = [sys.modules[name] for name in ("rfc3986_validator", "markdown_it") if name in sys.modules]
assert all(module.__spec__ for module in loaded), loaded
header = "---\\nkernelspec:\\n  name: python3\\n  display_name: P\\n  language: python\\n---\\n"
text = header + "\\n# A\\n\\n```{code-cell}\\n1\\n```\\n"
cells = jupytext.reads(text, fmt="md:myst").cells
assert [cell.cell_type for cell in cells] == ["markdown", "code"], cells
from markdown_it import MarkdownIt
assert MarkdownIt("commonmark").render("*a*") == "<p><em>a</em></p>\\n"
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
