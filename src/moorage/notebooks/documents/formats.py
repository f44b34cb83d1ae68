"""Text documents through jupytext, which is imported when a text is read and not before.

Source: https://jupytext.readthedocs.io/en/latest/formats-scripts.html and its neighbours.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from moorage.errors import ConfigurationError, DocumentError
from moorage.json_types import JsonObject
from moorage.notebooks.documents import ipynb
from moorage.notebooks.documents.libraries import load_jupytext, plain
from moorage.notebooks.documents.yaml_blocks import check_yaml
from moorage.trust import counts

SCRIPTS: dict[str, tuple[str, str]] = {
    ".R": ("R", "#"),
    ".clj": ("clojure", ";;"),
    ".coco": ("coconut", "#"),
    ".cpp": ("c++", "//"),
    ".cs": ("csharp", "//"),
    ".do": ("stata", "//"),
    ".fs": ("fsharp", "//"),
    ".fsx": ("fsharp", "//"),
    ".go": ("go", "//"),
    ".gp": ("gnuplot", "#"),
    ".groovy": ("groovy", "//"),
    ".hs": ("haskell", "--"),
    ".java": ("java", "//"),
    ".jenner": ("jenner", "/*"),
    ".jl": ("julia", "#"),
    ".js": ("javascript", "//"),
    ".lgt": ("logtalk", "%"),
    ".logtalk": ("logtalk", "%"),
    ".lua": ("lua", "--"),
    ".m": ("matlab", "%"),
    ".mac": ("maxima", "/*"),
    ".ml": ("ocaml", "(*"),
    ".pro": ("idl", ";"),
    ".ps1": ("powershell", "#"),
    ".py": ("python", "#"),
    ".q": ("q", "/"),
    ".r": ("R", "#"),
    ".resource": ("robotframework", "#"),
    ".robot": ("robotframework", "#"),
    ".rs": ("rust", "//"),
    ".sage": ("sage", "#"),
    ".sas": ("sas", "/*"),
    ".scala": ("scala", "//"),
    ".scm": ("scheme", ";;"),
    ".sh": ("bash", "#"),
    ".sos": ("sos", "#"),
    ".ss": ("scheme", ";;"),
    ".tcl": ("tcl", "#"),
    ".ts": ("typescript", "//"),
    ".wolfram": ("wolfram language", "(*"),
    ".xsh": ("xonsh", "#"),
}
"""Suffix of a script -> (language, what starts a comment), as jupytext has them; a test compares."""

MARKDOWN = frozenset({".md", ".markdown", ".myst", ".mystnb", ".mnb", ".Rmd", ".qmd"})
"""Suffixes of documents that are prose with code in it."""

_CONFLICT = re.compile(r"^<<<<<<< .*\n(?:.*\n)*?=======\n(?:.*\n)*?>>>>>>> ", re.MULTILINE)
_RULE = re.compile(r"^\W{0,4}---[ \t]*\W{0,3}$", re.MULTILINE)
_KERNELSPEC = re.compile(
    r"^(?P<lead>[^\w\n]*)kernelspec:[ \t]*\n(?P<block>(?:(?P=lead)[ \t]+\S.*\n)+)", re.MULTILINE
)
_NAME = re.compile(r"^(?P<lead>[^\w\n]*)name:(?P<name>.*\n)", re.MULTILINE)
_GALLERY_TITLE = re.compile(
    r"""\A(?:[ \t]*(?:#[^\n]*)?\n)*[rR]?(?P<quote>\"{3}|'{3})(?P<text>.*?)(?P=quote)""", re.DOTALL
)
_UNDERLINE = re.compile(r"^[ \t]*([=\-#*~^+])\1{2,}\s*$", re.MULTILINE)
_RULER = re.compile(r"([!-/:-@\[-`{-~])\1{2,}")
_HASHES = re.compile(r"^# ?#{19,}\s*$", re.MULTILINE)
_PANDOC_CELL = re.compile(r"^:{3,}[ \t]*\{[^}\n]*\.cell\b", re.MULTILINE)
_PERCENT = re.compile(r"^# ?%%(?P<rest>.*)$", re.MULTILINE)
_OTHER_MARKER = re.compile(
    r"^#\s*(?:\+(?:\s|$)|---\s*$)|^# (?:In\[[0-9 ]*\]|<codecell>|region\b|\{\{\{)", re.MULTILINE
)


PATIENCE = 1.0
"""Seconds that a text waits for its turn to be parsed."""

_parsing = threading.Lock()


class Reading(NamedTuple):
    """A text document as read: notebook, jupytext's name of the format, cell index -> line from 1."""

    notebook: JsonObject
    format: str
    lines: dict[int, int]


def read(path: Path, data: bytes) -> Reading:
    """Read a text document as ``jupytext --to ipynb`` does, with cell ids that depend on the content alone.

    Args:
        path: where it is: its suffix names the language, its folders may hold a jupytext configuration.
        data: its content.

    Raises:
        DocumentError: it cannot be read as a notebook, with jupytext's reason.
        MissingExtra: jupytext is not installed.
    """
    name = str(path)
    text = ipynb.decoded(data, name).replace("\r\n", "\n").replace("\r", "\n")
    suffix = path.suffix
    if not text.strip():
        raise DocumentError(f"{name} is empty", why="It holds no cells", do="Fill it, or leave it out")
    if suffix in SCRIPTS and (conflict := _CONFLICT.search(text)):
        raise DocumentError(
            f"{name} holds an unresolved merge conflict",
            why=f"It begins in line {text.count(chr(10), 0, conflict.start()) + 1}",
            do="Resolve the conflict, then render again",
        )
    check_yaml(text, name)
    raw = _through_jupytext(path, text)
    notebook: JsonObject = plain(raw)
    representation = notebook["metadata"].get("jupytext", {}).pop("text_representation", {})
    if not notebook["metadata"].get("jupytext", True):
        del notebook["metadata"]["jupytext"]
    ipynb.prepared(notebook, name)
    ipynb.fill_ids(notebook["cells"], anew=True)
    kind = representation.get("format_name") or "markdown"
    return Reading(notebook, f"{suffix[1:]}:{kind}", cell_lines(notebook, text))


def _through_jupytext(path: Path, text: str) -> Any:
    jupytext = load_jupytext()
    fmt: dict[str, str] = {"extension": path.suffix}
    if path.suffix == ".py" and (gallery := as_gallery(text)) is not None:
        text = gallery
        fmt["format_name"] = "sphinx"
    try:
        with _turn():
            if path.suffix in {".md", ".markdown"} and _is_pandoc_by_guess(jupytext, text, path.suffix):
                fmt["format_name"] = "markdown"
            config = _configuration(path.resolve())
            return jupytext.reads(_with_display_name(text), fmt=fmt, config=config)
    except ConfigurationError as error:
        raise DocumentError(
            f"{path} cannot be read as a notebook", why=f"{error.what}: {error.why}", do=error.do
        ) from error
    except Exception as error:  # jupytext, YAML, pandoc and quarto each have their own families of errors
        reason = " ".join(str(error).split()) or type(error).__name__
        do = "Correct the file"
        if "quarto" in reason or "pandoc" in reason or "marimo" in reason:
            do = "Install the program it needs, or leave the file out"
        raise DocumentError(f"{path} cannot be read as a notebook", why=reason, do=do) from error


@contextmanager
def _turn() -> Iterator[None]:
    """Parse one text at a time: several threads take the interpreter from each other and the event loop.

    For eight scripts that was a tenth of all processor time. A text that takes long stops no other one: the
    next one waits for a second, and is parsed beside it.
    """
    ours = _parsing.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if ours:
            _parsing.release()


def _configuration(path: Path) -> Any:
    """Return jupytext's configuration for a document; None where there is none that counts.

    It is looked for in all folders above, as jupytext does, and may be a Python script. What another user
    has planted is passed over.

    Raises:
        ConfigurationError: another user may write to it.
    """
    config = importlib.import_module("jupytext.config")
    ceilings = {Path(each).absolute() for each in getattr(config, "JUPYTEXT_CEILING_DIRECTORIES", ())}
    for folder in path.parents:
        try:
            found = config.find_jupytext_configuration_file(str(folder), False)
        except (OSError, ValueError):  # a pyproject.toml that is no TOML
            if counts(folder / "pyproject.toml"):
                raise
            continue
        if found is not None and Path(found) == path:
            return None
        if found is not None and counts(Path(found)):
            return config.load_jupytext_configuration_file(found)
        if folder in ceilings:
            return None
    found = config.find_global_jupytext_configuration_file()
    return None if found is None else config.load_jupytext_configuration_file(found)


def configured_pairs(path: Path) -> str:
    """Return the formats jupytext's configuration pairs a file with, or ""; raises as reading a text does."""
    load_jupytext()
    config = _configuration(path.resolve())
    formats = importlib.import_module("jupytext.formats")
    found = formats.long_form_multiple_formats(config.default_formats(str(path)) if config else None)
    return str(formats.short_form_multiple_formats(found))


def _is_pandoc_by_guess(jupytext: ModuleType, text: str, suffix: str) -> bool:
    """Whether jupytext would want pandoc, which is not here, for a ``:::`` that MyST uses as well."""
    if "\n:::" not in text or _PANDOC_CELL.search(text) or shutil.which("pandoc") is not None:
        return False
    return bool(jupytext.guess_format(text, suffix)[0] == "pandoc")


def _with_display_name(text: str) -> str:
    """Give the header's kernelspec a display name, where there is but a name.

    MyST's own tools take a name alone; nbformat, which jupytext asks, does not.
    """
    rules = list(islice(_RULE.finditer(text), 2))
    if len(rules) < 2 or text[: rules[0].start()].strip().count("\n") > 3:
        return text
    block = _KERNELSPEC.search(text, rules[0].end(), rules[1].start())
    if block is None or "display_name:" in block["block"] or not (name := _NAME.search(block["block"])):
        return text
    return f"{text[: block.end()]}{name['lead']}display_name:{name['name']}{text[block.end() :]}"


def as_gallery(text: str) -> str | None:
    """Return a sphinx-gallery script in the dialect that jupytext's reader knows, line for line; else None.

    A gallery script begins with a docstring that holds an underlined title; its blocks of prose begin with a
    line of twenty or more ``#``, or a bare ``# %%``. jupytext by itself takes the second for percent cells
    (the prose would become code) and sees the first only from two such lines on. Most have one block of code
    and none of prose: they are told from light scripts by a docstring that begins with its title, underlined
    at its whole length, and by the absence of every other marker.

    Source: https://sphinx-gallery.github.io/stable/syntax.html
    """
    title = _GALLERY_TITLE.match(text)
    if title is None or not _UNDERLINE.search(title["text"]) or _OTHER_MARKER.search(text):
        return None
    percents = [match["rest"].strip() for match in _PERCENT.finditer(text)]
    if any(percents) or not (percents or _HASHES.search(text) or _begins_with_title(title["text"])):
        return None
    start = title.start("quote")
    raw = text[start - 1 : start] in {"r", "R"}
    head = text[: start - 1] if raw else text[:start]
    return head + _PERCENT.sub("#" * 79, text[start:])


def _begins_with_title(docstring: str) -> bool:
    """Tell whether a docstring begins with a title of reStructuredText; labels and directives may precede it.

    Source: https://docutils.sourceforge.io/docs/ref/rst/restructuredtext.html#sections
    """
    blocks = (block.split("\n") for block in re.split(r"\n\s*\n", inspect.cleandoc(docstring)))
    lines = next((block for block in blocks if not block[0].startswith("..")), [""])
    over = _RULER.fullmatch(lines[0].rstrip())
    if over is not None:
        lines = lines[1:]
    if len(lines) < 2 or (under := _RULER.fullmatch(lines[1].rstrip())) is None:
        return False
    title = lines[0].strip()
    return bool(title) and len(under[0]) >= len(title) and (over is None or over[0] == under[0])


def cell_lines(notebook: JsonObject, text: str) -> dict[int, int]:
    """Find where each code cell stands in its source file.

    Best effort: a cell is where its first lines stand, as they are or commented out, after the cell before.

    Returns:
        Cell index among all cells (from 0) -> line of the cell's first line (from 1).
    """
    places = _Places([_bare(line) for line in text.split("\n")])
    found: dict[int, int] = {}
    position = 0
    for index, cell in enumerate(notebook["cells"]):
        source = cell["source"].split("\n")
        if cell["cell_type"] != "code" or not cell["source"].strip():
            continue
        # A first line that the text does not hold (`%%bash` for a block of another language): try the next.
        for skipped in range(min(2, len(source))):
            line = places.find([_bare(line) for line in source[skipped : skipped + _TELLING]], position)
            if line is not None:
                found[index] = max(line - skipped, 0) + 1
                position = line + len(source) - skipped
                break
    return found


_TELLING = 3
"""So many lines tell a cell's place."""


class _Places:
    """Where runs of up to three lines stand in a text: found without looking at every line for every cell."""

    def __init__(self, lines: list[str]) -> None:
        self._by_run: dict[tuple[str, ...], list[int]] = {}
        for line in range(len(lines)):
            for count in range(1, _TELLING + 1):
                self._by_run.setdefault(tuple(lines[line : line + count]), []).append(line)

    def find(self, wanted: list[str], start: int) -> int | None:
        """Return the first line from ``start`` on where these lines stand; None where they do not."""
        if not any(wanted):
            return None
        lines = self._by_run.get(tuple(wanted), [])
        at = bisect_left(lines, start)
        return lines[at] if at < len(lines) else None


def _bare(line: str) -> str:
    """A line without indentation and comment signs, so that commented code equals its cell's code."""
    return line.lstrip("#/%;-(* \t").rstrip()
