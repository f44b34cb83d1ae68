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
needless = {"jupyter_server", "rfc3987_syntax", "arrow", "tornado"} & set(sys.modules)
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
