"""Reading and checking ``.ipynb`` without nbformat.

``import nbformat`` compiles a grammar where JupyterLab is installed and costs more than a second; nothing
here needs it, except notebooks of format 3 and older.

Source: https://nbformat.readthedocs.io/en/latest/format_description.html and the schemas 4.0 to 4.5 there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from moorage.errors import DocumentError
from moorage.json_types import JsonObject
from moorage.notebooks.documents.libraries import lean_imports, plain

TRANSIENT = ("orig_nbformat", "orig_nbformat_minor", "signature")
"""Metadata that nbformat never keeps in a file."""

_CONFLICT = re.compile(r"^<<<<<<< .*$", re.MULTILINE)
# https://nbformat.readthedocs.io/en/latest/format_description.html#cell-ids
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LFS_POINTER = "version https://git-lfs.github.com/spec/"
# msgspec ends its messages with the place: " - at `$.cells[3].outputs[0].text`".
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_CELL_PLACE = re.compile(r"^\.cells\[(?P<cell>\d+)\]\.?(?P<rest>.*)$")
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]*)`$")

Text = str | list[str]


class _Result(msgspec.Struct, tag_field="output_type", tag="execute_result"):
    data: JsonObject
    metadata: JsonObject = {}
    execution_count: int | None = None


class _Display(msgspec.Struct, tag_field="output_type", tag="display_data"):
    data: JsonObject
    metadata: JsonObject = {}


class _Stream(msgspec.Struct, tag_field="output_type", tag="stream"):
    text: Text
    name: str


class _Error(msgspec.Struct, tag_field="output_type", tag="error"):
    ename: str
    evalue: str
    traceback: list[str]


class _CellMetadata(msgspec.Struct):
    tags: list[str] = []


class _Raw(msgspec.Struct, tag_field="cell_type", tag="raw"):
    source: Text
    metadata: _CellMetadata
    id: str = ""
    attachments: dict[str, JsonObject] = {}


class _Markdown(msgspec.Struct, tag_field="cell_type", tag="markdown"):
    source: Text
    metadata: _CellMetadata
    id: str = ""
    attachments: dict[str, JsonObject] = {}


class _Code(msgspec.Struct, tag_field="cell_type", tag="code"):
    source: Text
    metadata: _CellMetadata
    outputs: list[_Result | _Display | _Stream | _Error]
    execution_count: int | None
    id: str = ""
    attachments: dict[str, JsonObject] = {}


class _Named(msgspec.Struct):
    name: str | None = None
    language: str | None = None


class _Metadata(msgspec.Struct):
    kernelspec: _Named | None = None
    language_info: _Named | None = None


class _Notebook(msgspec.Struct):
    """The schema, as far as running and writing a notebook depend on it; unknown keys survive."""

    nbformat: int
    nbformat_minor: int
    metadata: _Metadata
    cells: list[_Raw | _Markdown | _Code]


# msgspec makes what it knows of a type on first use, half-made for every other thread: a crash where
# documents are read in several. A decoder has it all made here, once, before any of them.
_SCHEMA = msgspec.json.Decoder(_Notebook)


def loads(data: bytes, name: str) -> JsonObject:
    """Read the bytes of an ``.ipynb`` file.

    Args:
        data: the file's content.
        name: how to call the file in an error.

    Returns:
        The notebook as plain dicts in format 4, every multi-line text joined to one string. Unknown keys
        are kept. From format 4.5 on, missing, invalid or repeated cell ids are made from the content.

    Raises:
        DocumentError: this is no notebook; the error says what it is instead, or which cell is wrong.
    """
    notebook = _parse(data, name)
    if not isinstance(notebook, dict) or not ("cells" in notebook or "worksheets" in notebook):
        raise DocumentError(
            f"{name} is JSON but no notebook",
            why="A notebook is an object with `cells`, `metadata`, `nbformat` and `nbformat_minor`",
            do="Leave the file out, or rename it if it is data",
        )
    major = notebook.get("nbformat")
    if isinstance(major, int) and major < 4:
        notebook = _upgraded(data, name)
    elif isinstance(major, int) and major > 4:
        raise DocumentError(
            f"{name} has notebook format {major}",
            why="moorage knows the formats up to 4",
            do="Save it as format 4 in the program that made it",
        )
    return prepared(notebook, name)


def prepared(notebook: JsonObject, name: str) -> JsonObject:
    """Check a notebook of format 4, join its texts and give every cell what running needs, in place.

    Missing ``outputs``, ``execution_count`` and cell ``metadata`` have one possible meaning and are filled
    in, as Jupyter itself takes such files; everything else that running depends on must be there.

    Returns:
        The same notebook.

    Raises:
        DocumentError: it does not fit the schema.
    """
    cells = notebook.get("cells")
    for cell in cells if isinstance(cells, list) else ():
        if isinstance(cell, dict):
            cell.setdefault("metadata", {})
            if cell.get("cell_type") == "code":
                cell.setdefault("outputs", [])
                cell.setdefault("execution_count", None)
    try:
        checked = msgspec.convert(notebook, _SCHEMA.type)
    except msgspec.ValidationError as error:
        raise DocumentError(
            f"{name} is not a valid notebook",
            why=_located(str(error), cells),
            do="Open and save it in Jupyter, or repair the JSON",
        ) from None
    _join_lines(notebook)
    _strip_transient(notebook)
    if checked.nbformat_minor >= 5:
        fill_ids(notebook["cells"])
    else:
        for cell in notebook["cells"]:
            cell.pop("id", None)  # which nbformat refuses before format 4.5
    return notebook


def fill_ids(cells: list[JsonObject], *, anew: bool = False) -> None:
    """Give an id to every cell that has none, one that nbformat refuses or one of an earlier cell, in place.

    The ids depend only on the cells' content and order, so the same source always gives the same bytes. Takes
    time in proportion to the content, also where all cells are equal.

    Args:
        cells: cells of a notebook in format 4.5 or later.
        anew: replace all ids, for notebooks whose ids were made at random.
    """
    kept = set() if anew else {cell["id"] for cell in cells if _ID.fullmatch(cell.get("id", ""))}
    seen: set[str] = set()
    copies: dict[str, int] = {}
    for cell in cells:
        identity = "" if anew else cell.get("id", "")
        if not _ID.fullmatch(identity) or identity in seen:
            content = f"{cell['cell_type']}\0{cell['source']}"
            identity = first = _digest(content)
            while identity in seen or identity in kept:
                copies[first] = copies.get(first, 0) + 1
                identity = _digest(f"{content}\0{copies[first]}")
            cell["id"] = identity
        seen.add(identity)


def _parse(data: bytes, name: str) -> Any:
    """JSON, or the sentence that tells what the bytes are instead."""
    if not data.strip():
        raise DocumentError(
            f"{name} is empty", why="It holds no notebook at all", do="Restore it, or leave it out"
        )
    text = decoded(data, name)
    try:
        return json.loads(text)
    except RecursionError:
        raise DocumentError(
            f"{name} is nested too deeply", why="No notebook is", do="Check where it comes from"
        ) from None
    except ValueError as error:
        raise _no_json(text, error, name) from None


def decoded(data: bytes, name: str) -> str:
    """Decode a source as UTF-8, with or without a byte order mark.

    Raises:
        DocumentError: it is binary, or text in another encoding.
    """
    if b"\0" in data:
        raise DocumentError(
            f"{name} is a binary file", why="It holds zero bytes, a document is text", do="Leave it out"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"{name} is not UTF-8",
            why=f"Byte {error.start} is {data[error.start]:#04x}; it is binary, or text in another encoding",
            do="Save it as UTF-8, or leave it out",
        ) from None


def _no_json(text: str, error: ValueError, name: str) -> DocumentError:
    if text.startswith(_LFS_POINTER):
        return DocumentError(
            f"{name} is a Git LFS pointer", why="The notebook itself was not fetched", do="Run `git lfs pull`"
        )
    if conflict := _CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start()) + 1
        return DocumentError(
            f"{name} holds an unresolved merge conflict",
            why=f"Line {line} is `{conflict[0].strip()}`",
            do="Resolve the conflict (nbdime does it for notebooks), then render again",
        )
    if not isinstance(error, json.JSONDecodeError):  # a number of more than 4300 digits
        return DocumentError(f"{name} is not valid JSON", why=str(error), do="Repair or restore it")
    if text.lstrip().startswith(("{", "[")) and (
        error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    ):
        return DocumentError(
            f"{name} is cut off",
            why=f"The JSON ends in the middle, at line {text.count(chr(10)) + 1}",
            do="Restore it from its last good version",
        )
    return DocumentError(
        f"{name} is not valid JSON",
        why=f"Line {error.lineno}, column {error.colno}: {error.msg}",
        do="Repair or restore it",
    )


def _located(message: str, cells: Any) -> str:
    """Turn msgspec's message into a clause that names the cell as people count, from 1."""
    match = _PLACE.match(message)
    assert match is not None  # the pattern matches any text
    what, path = match["what"], match["path"] or ""
    if missing := _MISSING.match(what):
        what = f"`{missing['field']}` is missing"
    what = what.replace("`array`", "a list").replace("`object`", "an object")
    if place := _CELL_PLACE.match(path):
        index = int(place["cell"])
        kind = cells[index].get("cell_type") if isinstance(cells[index], dict) else None
        where = f"Cell {index + 1}" + (f" ({kind})" if isinstance(kind, str) else "")
        return f"{where}{', ' + place['rest'] if place['rest'] else ''}: {what}"
    return f"{path.lstrip('.') or 'The notebook'}: {what}"


def _upgraded(data: bytes, name: str) -> JsonObject:
    """Convert format 3 and older, the one case that needs nbformat (and pays its import)."""
    with lean_imports():
        import nbformat
    try:
        converted = nbformat.reads(decoded(data, name), as_version=4)
    except Exception as error:  # nbformat's converters raise whatever an odd old file provokes
        raise DocumentError(
            f"{name} cannot be converted from its old notebook format",
            why=f"{type(error).__name__}: {error}",
            do="Open and save it in Jupyter",
        ) from error
    notebook: JsonObject = plain(converted)
    for cell in notebook["cells"]:
        cell.pop("id", None)  # made at random by the conversion
    return notebook


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _strip_transient(notebook: JsonObject) -> None:
    for key in TRANSIENT:
        notebook["metadata"].pop(key, None)
    for cell in notebook["cells"]:
        cell["metadata"].pop("trusted", None)


def _outputs(cell: JsonObject) -> Iterable[JsonObject]:
    outputs: Iterable[JsonObject] = cell.get("outputs", ()) if cell["cell_type"] == "code" else ()
    return outputs


def _join_lines(notebook: JsonObject) -> None:
    for cell in notebook["cells"]:
        if isinstance(cell["source"], list):
            cell["source"] = "".join(cell["source"])
        for bundle in cell.get("attachments", {}).values():
            _join_bundle(bundle)
        for output in _outputs(cell):
            if "data" in output:
                _join_bundle(output["data"])
            elif isinstance(output.get("text"), list):
                output["text"] = "".join(output["text"])


def _join_bundle(bundle: JsonObject) -> None:
    for mime, value in bundle.items():
        as_json = mime.startswith("application/") and (mime == "application/json" or mime.endswith("+json"))
        if isinstance(value, list) and not as_json and all(isinstance(line, str) for line in value):
            bundle[mime] = "".join(value)
