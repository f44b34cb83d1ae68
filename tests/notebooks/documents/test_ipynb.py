"""Reading and checking notebooks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import DocumentError
from moorage.notebooks.documents import ipynb

FILES = Path(__file__).parent / "files"


def code(source="1", **more):
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source,
        **more,
    }


def notebook(*cells, minor=4, **metadata):
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}


def read(value):
    return ipynb.loads(json.dumps(value).encode(), "x.ipynb")


def refusal(data):
    with pytest.raises(DocumentError) as caught:
        ipynb.loads(data, "x.ipynb")
    assert "x.ipynb" in caught.value.what
    assert caught.value.why
    assert caught.value.do
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is a binary file"),
        (b'{"cells": "\xff\xfe"}', "is not UTF-8"),
        (b"<html></html>", "is not valid JSON"),
        (b'{"cells": [,]}', "Line 1, column 12"),
        (b'{"cells": [\n', "is cut off"),
        (b'{"cells": ["an unfinished str', "is cut off"),
        (b'{"cells": []', "is cut off"),
        (b'{\n<<<<<<< HEAD\n "a": 1\n=======\n "a": 2\n>>>>>>> topic\n}', "Line 2 is `<<<<<<< HEAD`"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b'{"name": "data"}', "is JSON but no notebook"),
        (b"[1, 2]", "is JSON but no notebook"),
        (b"3", "is JSON but no notebook"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"cells": ' + b"9" * 5000 + b"}", "is not valid JSON"),
        (b'{"cells": [], "metadata": {}, "nbformat": 5, "nbformat_minor": 0}', "notebook format 5"),
        (b'{"cells": [], "metadata": {}, "nbformat_minor": 0}', "`nbformat` is missing"),
        (b'{"cells": {}, "metadata": {}, "nbformat": 4, "nbformat_minor": 0}', "cells: "),
    ],
)
def test_what_is_no_notebook_is_called_what_it_is(data, says):
    assert says in refusal(data)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ({"cell_type": "code", "metadata": {}}, "Cell 2 (code): `source` is missing"),
        ({"cell_type": "poem", "metadata": {}, "source": ""}, "Cell 2 (poem), cell_type: "),
        ({"metadata": {}, "source": ""}, "Cell 2: `cell_type` is missing"),
        (7, "Cell 2: "),
        (code(3), "Cell 2 (code), source: "),
        (code(metadata={"tags": "a"}), "Cell 2 (code), metadata.tags: "),
        (code(outputs=[{"output_type": "stream", "name": "stdout"}]), "outputs[0]: `text` is missing"),
        (code(outputs=[{"output_type": "pyout"}]), "outputs[0].output_type: "),
    ],
)
def test_an_invalid_cell_is_named(cell, says):
    assert says in refusal(json.dumps(notebook(code(), cell)).encode())


def test_multi_line_texts_are_joined_and_json_is_left_alone():
    got = ipynb.loads((FILES / "old.ipynb").read_bytes(), "old")
    assert got["cells"][0]["source"] == "# Old\ntext \u2028 with odd breaks"
    stream, result, _ = got["cells"][1]["outputs"]
    assert stream["text"] == "one\ntwo\n"
    assert result["data"]["text/plain"] == "1\n2"
    assert result["data"]["application/json"] == ["a", "b"]
    assert got["cells"][2] == {
        "attachments": {"a.svg": {"image/svg+xml": "<svg/>"}},
        "cell_type": "raw",
        "metadata": {},
        "source": "",
    }


def test_unknown_keys_survive():
    got = read(notebook(code(metadata={"vendor": {"a": 1}}, strange=1), vendor=[1]))
    assert got["cells"][0]["metadata"]["vendor"] == {"a": 1}
    assert got["cells"][0]["strange"] == 1
    assert got["metadata"]["vendor"] == [1]


def test_what_can_only_mean_one_thing_is_filled_in():
    got = read(notebook({"cell_type": "code", "source": "1"}))
    assert got["cells"] == [code()]


def test_transient_keys_are_dropped():
    got = read(notebook(code(metadata={"trusted": True}), signature="x", orig_nbformat=3))
    assert got["metadata"] == got["cells"][0]["metadata"] == {}


def test_no_ids_before_format_4_5():
    assert "id" not in read(notebook(code()))["cells"][0]


def test_ids_are_kept_and_missing_or_repeated_ones_made_from_the_content():
    cells = [code(id="a"), code("2"), code("2"), code("3", id="a"), code("4", id="b")]
    first = [cell["id"] for cell in read(notebook(*cells, minor=5))["cells"]]
    again = [cell["id"] for cell in read(notebook(*cells, minor=5))["cells"]]
    assert first == again
    assert first[0] == "a"
    assert first[4] == "b"
    assert len(set(first)) == 5


def test_byte_order_mark_and_nan_are_read():
    got = ipynb.loads(b"\xef\xbb\xbf" + json.dumps(notebook(code(), x=float("nan"))).encode(), "x")
    assert got["metadata"]["x"] != got["metadata"]["x"]


def test_format_3_is_converted_alike_every_time():
    data = (FILES / "three.ipynb").read_bytes()
    got = ipynb.loads(data, "three")
    assert got["nbformat"] == 4
    assert [cell["source"] for cell in got["cells"]] == ["## Title", "1+1"]
    assert got == ipynb.loads(data, "three")
    assert type(got["cells"][0]) is dict


def test_format_3_that_cannot_be_converted_says_so():
    assert "cannot be converted" in refusal(b'{"worksheets": [7], "nbformat": 3, "metadata": {}}')


def test_nbformat_is_not_imported_for_a_notebook():
    script = (
        "import sys; from pathlib import Path; from moorage.notebooks.documents.document import load, dumps;"
        "dumps(load(Path(sys.argv[1])).notebook);"
        "print([m for m in ('nbformat', 'jupytext', 'jsonschema', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, FILES / "new.ipynb"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "[]\n"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_notebook_or_a_clean_error(data):
    with pytest.raises(DocumentError):
        ipynb.loads(data, "x")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["cell_type", "source", "metadata", "outputs", "id", "attachments", "tags"])
cells = st.dictionaries(keys, st.sampled_from(["code", "raw", ["a"], {}, [], None]) | json_values)


@given(st.lists(cells | json_values, max_size=3), json_values)
def test_any_json_is_a_notebook_or_a_clean_error(cells, metadata):
    value = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    try:
        got = read(value)
    except DocumentError:
        return
    assert all(isinstance(cell["source"], str) for cell in got["cells"])


@pytest.mark.parametrize("bad", ["", "a b", "ä", "x" * 65, "a/b", "a\n"])
def test_an_id_that_nbformat_refuses_is_made_anew(bad):
    nbformat = pytest.importorskip("nbformat")
    got = read(notebook(code(id=bad), code("2", id="good_-1"), minor=5))
    assert got["cells"][0]["id"] != bad
    assert got["cells"][1]["id"] == "good_-1"
    nbformat.validate(got)


def test_an_id_from_before_there_were_any_is_dropped():
    nbformat = pytest.importorskip("nbformat")
    got = read(notebook(code(id="a"), minor=4))
    nbformat.validate(got)


def test_equal_cells_get_their_ids_in_linear_time(monkeypatch):
    asked = []
    digest = ipynb._digest
    monkeypatch.setattr(ipynb, "_digest", lambda content: asked.append(1) or digest(content))
    cells = [code("1", id="same") for _ in range(5000)]
    ipynb.fill_ids(cells)
    assert len({cell["id"] for cell in cells}) == 5000
    assert len(asked) <= 2 * 5000


FIRST_USE = """
import sys, threading
sys.setswitchinterval(1e-6)
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from moorage.notebooks.documents.document import load
together = threading.Barrier(8)
def read(_):
    together.wait()
    return load(Path(sys.argv[1]))
with ThreadPoolExecutor(8) as threads:
    print(len(list(threads.map(read, range(8)))))
"""


def test_the_first_notebooks_may_be_read_in_several_threads_at_once(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(notebook(*[code(str(n)) for n in range(20)])))
    for _ in range(15):  # a third of such runs ended with SIGSEGV
        done = subprocess.run([sys.executable, "-c", FIRST_USE, path], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b"8\n"), done.stderr
