"""Files that a document's text refers to by relative links: they are carried to its output.

Links are found in the source's bytes, in code and all: what is no link names no file that is there.
"""

from __future__ import annotations

import filecmp
import mimetypes
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from moorage.errors import OutputError
from moorage.notebooks.documents.references import references
from moorage.notebooks.events import Note
from moorage.notebooks.execution.context import Context
from moorage.notebooks.planning.item import Item

LARGEST: Final = 64 * 1024 * 1024
"""Bytes; a larger file is not carried."""


class Carrier:
    """Carries files for the documents of one run.

    Args:
        context: of the run.
        items: all its notebooks; links from one to another are those of planning/document_links.

    Attributes:
        placed: what was carried, or was there already, by its path relative to the output folder.
    """

    def __init__(self, context: Context, items: Iterable[Item]) -> None:
        self._context = context
        self._root = os.path.realpath(context.folders.root)
        items = tuple(items)
        self._documents = {item.file.path for item in items}
        self._documents |= {path for item in items for path in item.documents.values()}
        self._documents.add(context.folders.out / "index.html")  # the list of pages
        self._embeds = context.settings.to == ("html",)
        self.placed: dict[str, Path] = {}

    def carry(self, item: Item) -> None:
        """Carry the files that one document refers to, and tell of those that cannot be."""
        told: dict[str, str] = {}
        for link in references(item.data):
            path = _file(item.directory, link)
            if path is None or path in self._documents or self._is_embedded(item, path):
                continue
            target = Path(os.path.normpath(item.file.output.parent / os.path.relpath(path, item.directory)))
            if target in self._documents or os.path.realpath(target) == os.path.realpath(path):
                continue
            try:
                why = self._obstacle(path, target)
                if not why:
                    self._put(path, target)
            except OutputError as error:
                why = str(error)
            except OSError as error:
                why = str(error.strerror)
            if why:
                told[link] = why
        if told:
            link, why = next(iter(told.items()))
            more = f"; nor are {len(told) - 1} more" if len(told) > 1 else ""
            self._context.emit(
                Note("warning", f"the file of the link {link} is not carried along: {why}{more}", item.name)
            )

    def _is_embedded(self, item: Item, path: Path) -> bool:
        """Say whether pages embed the file, see :mod:`moorage.notebooks.output.page_exporter`."""
        image = (mimetypes.guess_type(path.name)[0] or "").startswith("image/")
        return self._embeds and image and path.is_relative_to(item.directory)

    def _obstacle(self, path: Path, target: Path) -> str:
        """Return why a file may not be carried; empty when it may."""
        real, root = os.path.realpath(path), self._root
        if not Path(real).is_relative_to(root) or not path.is_relative_to(self._context.folders.root):
            folders = self._context.folders
            return f"it lies outside of {folders.shown(folders.root)}, so name a folder further up"
        if any(part.startswith(".") for part in path.relative_to(self._context.folders.root).parts):
            return "hidden files are not"
        if not target.is_relative_to(self._context.folders.out):
            return "it would lie outside of the output folder"
        if path.stat().st_size > LARGEST:
            return f"it is larger than {LARGEST >> 20} MiB"
        return ""

    def _put(self, path: Path, target: Path) -> None:
        if not (target.is_file() and filecmp.cmp(path, target, shallow=False)):
            self._context.results.writer.put(target, path)
        self.placed[target.relative_to(self._context.folders.out).as_posix()] = target


def _file(folder: Path, link: str) -> Path | None:
    """Return the regular file that a link leads to, None where there is none."""
    for name in dict.fromkeys((link, unquote(link), unquote(re.split("[?#]", link, maxsplit=1)[0]))):
        path = Path(os.path.normpath(folder / name))
        try:
            if stat.S_ISREG(path.stat().st_mode):
                return path
        except (OSError, ValueError):
            continue
    return None


def carry_all(context: Context, items: Mapping[str, Item], sources: Iterable[str]) -> dict[str, Path]:
    """Carry what the documents written refer to; return it by its path relative to the output folder.

    Args:
        context: of the run.
        items: all its notebooks, by name.
        sources: names of those that were written.
    """
    carrier = Carrier(context, items.values())
    for source in sources:
        carrier.carry(items[source])
    return carrier.placed
