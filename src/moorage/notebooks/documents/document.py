"""Documents: notebooks and texts that jupytext can read as notebooks."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec import Struct, structs

from moorage.errors import DocumentError
from moorage.json_types import JsonObject
from moorage.notebooks.documents import formats, ipynb, layout
from moorage.regular import MOST_DOCUMENT, open_regular, read_regular

__all__ = ["SUFFIXES", "Document", "dumps", "is_document", "load"]

SUFFIXES = frozenset({".ipynb", ".html", ".md"})
"""What can be written: ``-o NAME`` is a file when it ends in one of these."""

_ALWAYS = frozenset({".ipynb", ".Rmd", ".mystnb", ".mnb"})
_HEAD = 64 * 1024
_FRONT_KEYS = re.compile(r"^\s*(?:jupytext|jupyter|kernelspec)\s*:", re.MULTILINE)

dumps = layout.dumps


class Document(Struct, frozen=True):
    """One source, read.

    Attributes:
        path: where it was read from.
        notebook: nbformat-4 JSON as plain dicts, every ``source`` one string.
        format: ``ipynb``, or jupytext's long form (``py:light``, ``md:myst``, ``Rmd:rmarkdown``).
        kernel: the kernel type it names, or None.
        language: the language of its code, or None when nothing tells.
        lines: index of a code cell among all cells (from 0) -> its first line in a text source (from 1).
    """

    path: Path
    notebook: JsonObject
    format: str
    kernel: str | None
    language: str | None
    lines: dict[int, int]

    def with_notebook(self, notebook: JsonObject) -> Document:
        """Return this document with another notebook made of its cells; ``lines`` follow the cells.

        For notebooks from which cells were left out or to which some were added: a cell is the same when it
        is the same dict.
        """
        lines = {id(self.notebook["cells"][index]): line for index, line in self.lines.items()}
        moved = {index: lines[id(cell)] for index, cell in enumerate(notebook["cells"]) if id(cell) in lines}
        return structs.replace(self, notebook=notebook, lines=moved)


def load(path: Path) -> Document:
    """Read a document; the file itself is never changed.

    Raises:
        DocumentError: it cannot be read, or is no document; says why and what to do.
        MissingExtra: it is a text and jupytext is not installed.
    """
    suffix = path.suffix
    if suffix != ".ipynb" and suffix not in formats.SCRIPTS and suffix not in formats.MARKDOWN:
        raise DocumentError(
            f"{path} is no document",
            why=f"moorage reads .ipynb and jupytext's texts, not {suffix or 'files without suffix'}",
            do="Rename it, or leave it out",
        )
    try:
        data = read_regular(path, MOST_DOCUMENT)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise DocumentError(
            f"{path} cannot be read", why=str(reason).capitalize(), do="Check the name and its permissions"
        ) from None
    if suffix == ".ipynb":
        reading = formats.Reading(ipynb.loads(data, str(path)), "ipynb", {})
    else:
        reading = formats.read(path, data)
    kernel, language = _kernel_and_language(reading.notebook["metadata"], suffix)
    _complete_kernelspec(reading.notebook["metadata"])
    return Document(
        path=path,
        notebook=reading.notebook,
        format=reading.format,
        kernel=kernel,
        language=language,
        lines=reading.lines,
    )


def _kernel_and_language(metadata: JsonObject, suffix: str) -> tuple[str | None, str | None]:
    kernelspec = metadata.get("kernelspec") or {}
    language = (
        kernelspec.get("language")
        or (metadata.get("language_info") or {}).get("name")
        or (metadata.get("jupytext") or {}).get("main_language")
        or formats.SCRIPTS.get(suffix, (None, ""))[0]
    )
    return kernelspec.get("name") or None, language


def _complete_kernelspec(metadata: JsonObject) -> None:
    """Leave no half kernelspec, which no notebook may have: without a name it tells but the language."""
    kernelspec = metadata.get("kernelspec") or {}
    if kernelspec.get("name"):
        kernelspec.setdefault("display_name", kernelspec["name"])
    else:
        metadata.pop("kernelspec", None)


def is_document(path: Path, globs: Iterable[str] = ()) -> bool:
    """Tell whether a file found while walking a directory is a document.

    Notebooks and R Markdown always are. Scripts and Markdown have a suffix that is used for much else: they
    count if they carry a jupytext header or a cell marker, or match one of ``globs``.

    Args:
        path: an existing file. Globs see it as it is given here; ``**/`` also matches no folder at all.
        globs: the configured patterns, with forward slashes.
    """
    suffix = path.suffix
    if suffix in _ALWAYS:
        return True
    if suffix not in formats.SCRIPTS and suffix not in formats.MARKDOWN:
        return False
    if any(_matches(path, glob) for glob in globs):
        return True
    head = _head(path)
    if head is None:
        return False
    if suffix in formats.MARKDOWN:
        return _has_front_matter(head, "")
    comment = formats.SCRIPTS[suffix][1]
    return _has_front_matter(head, comment) or _marker(comment).search(head) is not None


def _matches(path: Path, glob: str) -> bool:
    name = path.as_posix()
    return any(
        fnmatchcase(name, pattern) or fnmatchcase(name, "*/" + pattern)
        for pattern in {glob, glob.replace("**/", "")}
    )


def _head(path: Path) -> str | None:
    """The first 64 KiB as text, or None for a file that is none."""
    try:
        with open_regular(path) as file:
            data = file.read(_HEAD)
        if b"\0" in data:
            return None
        # Incremental, since the cut may fall inside a character.
        return codecs.getincrementaldecoder("utf-8-sig")().decode(data)
    except (OSError, UnicodeDecodeError):
        return None


def _has_front_matter(head: str, comment: str) -> bool:
    """Whether the text begins with a YAML header that names jupytext, Jupyter or a kernel."""
    lines: list[str] = []
    opened = False
    for line in head.splitlines():
        stripped = line.strip()
        if comment and stripped.startswith("#!"):
            continue
        if comment and not stripped.startswith(comment):
            if stripped or opened:
                return False
            continue
        content = stripped[len(comment) :].removesuffix("*)").removesuffix("*/").rstrip()
        if content.strip() == "---":
            if opened:
                return _FRONT_KEYS.search("\n".join(lines)) is not None
            opened = True
        elif opened:
            lines.append(content if comment else line)
        elif content and (not comment or "coding" not in content):
            return False
    return False


def _marker(comment: str) -> re.Pattern[str]:
    """What starts a cell: ``# +`` (light), ``# %%`` (percent), ``# In[1]:`` (nbconvert's scripts).

    ``# + text`` alone may be prose; it counts with a cell type or metadata behind.
    """
    return re.compile(
        rf"^{re.escape(comment)}(?:"
        r"\s*\+(?:\s*(?:\*\)|\*/)?$|[ \t].*(?:\[\w+\]|\{.*\}|\w+\s*=))"
        r"|[ \t]?%%(?:\s|$)"
        r"|[ ]In\[[0-9 ]*\]:?|[ ]<codecell>)",
        re.MULTILINE,
    )
